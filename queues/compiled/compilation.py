"""How Numba compiles our kernels: what only kernels call is not made ready to run by itself.

Numba makes machine code of every function, and then compiles it once more inside each of those
that call it. Here an inner kernel ends as code of LLVM, which those that call it link, inline and
optimise; what Python calls, and that alone, becomes machine code. What else is cheaper here than
with Numba's defaults is said below. None of it changes what is computed: results agree with plain
Python to the last bit.

All of this stands on Numba's ``pipeline_class``, and on parts of Numba that are not promised to
stay: `queues.compiled.jit` says with which versions they have been tried. With others, or where
``REFSIM_PLAIN_NUMBA=1``, kernels are compiled as Numba compiles everything.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir as llvm
from numba.core import cgutils, imputils, types
from numba.core.analysis import compute_use_defs, must_use_alloca
from numba.core.callconv import CPUCallConv
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import register_pass
from numba.core.datamodel.packer import ArgPacker
from numba.core.environment import lookup_environment
from numba.core.ir import Assign
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering

_ENVIRONMENT = "_ZN08NumbaEnv"  # begin of the names of what functions keep for errors


class _NoEnvironments:
    """A code generator for which there is no environment to be set: there is no code yet."""

    def __init__(self, codegen: Any):
        self._codegen = codegen

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)


class LinkedCode(JITCodeLibrary):
    """Code of a kernel that others link."""

    def finalize(self) -> None:
        """Neither optimise nor make machine code."""
        self._raise_if_finalized()
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        self._finalize_dynamic_globals()
        self._finalized = True

    @property
    def codegen(self) -> Any:
        """The code generator."""
        return _NoEnvironments(self._codegen)

    def get_pointer_to_function(self, name: str) -> int:
        """Return that there is no such function."""
        self._ensure_finalized()
        return 0

    def own_module(self) -> Any:
        """Return the code of the kernel without that of the kernels it calls."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """Return the code with all that it calls, for kernels that are not compiled here."""
        whole = self.own_module().clone()
        for library in _callees(self):
            whole.link_in(_module_of(library), preserve=True)
        return whole


class CompleteCode(JITCodeLibrary):
    """Code of a kernel that Python calls, with that of all kernels that it calls."""

    def finalize(self) -> None:
        """Link what is called, each kernel once, optimise, and make machine code."""
        self._raise_if_finalized()
        self._linking_libraries = [
            _Linked(library) if isinstance(library, LinkedCode) else library
            for library in _callees(self)
        ]
        super().finalize()
        codegen: Any = self._codegen
        for variable in self._final_module.global_variables:
            name = variable.name
            environment = lookup_environment(name) if name.startswith(_ENVIRONMENT) else None
            if environment is not None:
                codegen.set_env(name, environment)


class _Linked:
    """A library without what it calls."""

    def __init__(self, library: LinkedCode):
        self._reload_init = library._reload_init
        self._get_module_for_linking = library.own_module


def _module_of(library: Any) -> Any:
    if isinstance(library, LinkedCode):
        return library.own_module()
    return library._get_module_for_linking()


def _callees(library: Any) -> list[Any]:
    """Return what a library calls, directly or not: a caller before what it calls.

    In the other order LLVM would not link what nothing calls yet.
    """
    seen: set[Any] = set()
    found: list[Any] = []

    def visit(one: Any) -> None:
        if one in seen:
            return
        seen.add(one)
        if one is library or isinstance(one, LinkedCode):
            for other in one._linking_libraries:
                visit(other)
        found.append(one)

    visit(library)
    return found[-2::-1]


class _Arguments:
    """Arguments of which tuples are passed whole.

    Numba passes each array of a tuple, and each of its seven parts, as an argument of its own: of
    the code for a kernel of sixty arrays nine tenths took tuples apart and put them together.
    """

    def __init__(self, context: Any, argument_types: Any):
        models = context.data_model_manager
        self._whole = [isinstance(kind, types.BaseNamedTuple) for kind in argument_types]
        self._packers = [ArgPacker(models, (kind,)) for kind in argument_types]
        self._types = [
            [models[kind].get_value_type()] if is_whole else list(packer.argument_types)
            for kind, is_whole, packer in zip(
                argument_types, self._whole, self._packers, strict=True
            )
        ]

    @property
    def argument_types(self) -> list[Any]:
        return [kind for kinds in self._types for kind in kinds]

    def as_arguments(self, builder: Any, values: Any) -> list[Any]:
        arguments: list[Any] = []
        for value, is_whole, packer in zip(values, self._whole, self._packers, strict=True):
            arguments.extend([value] if is_whole else packer.as_arguments(builder, [value]))
        return arguments

    def from_arguments(self, builder: Any, arguments: Any) -> list[Any]:
        values: list[Any] = []
        for some, is_whole, packer in self._divided(arguments):
            values.extend(some if is_whole else packer.from_arguments(builder, some))
        return values

    def assign_names(self, arguments: Any, names: Any) -> None:
        for (some, is_whole, packer), name in zip(self._divided(arguments), names, strict=True):
            if is_whole:
                some[0].name = name
            else:
                packer.assign_names(some, [name])

    def _divided(self, arguments: Any) -> Any:
        arguments = list(arguments)
        for kinds, is_whole, packer in zip(self._types, self._whole, self._packers, strict=True):
            yield arguments[: len(kinds)], is_whole, packer
            arguments = arguments[len(kinds) :]


class _WholeTuples(CPUCallConv):
    """How kernels that are always inlined are called: the call itself leaves no trace."""

    def _get_arg_packer(self, argument_types: Any) -> Any:
        return _Arguments(self.context, argument_types)


def _declared(context: Any, module: Any, descriptor: Any) -> Any:
    """Return the declaration of a kernel that is always inlined."""
    convention = _WholeTuples(context)
    kind = convention.get_function_type(descriptor.restype, descriptor.argtypes)
    function = cgutils.get_or_insert_function(module, kind, descriptor.mangled_name)
    convention.decorate_function(
        function, descriptor.args, descriptor.argtypes, noalias=descriptor.noalias
    )
    function.attributes.add("alwaysinline")
    return function


def _call_of(descriptor: Any, libraries: Any) -> Any:
    """Return what writes a call of a kernel that is always inlined, as `imputils.user_function`."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = _declared(context, builder.module, descriptor)
        status, value = _WholeTuples(context).call_function(
            builder, function, descriptor.restype, descriptor.argtypes, arguments
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        value = imputils.fix_returning_optional(context, builder, signature, status, value)
        return imputils.impl_ret_new_ref(context, builder, descriptor.restype, value)

    write.signature = descriptor.argtypes  # type: ignore[attr-defined]
    write.libs = tuple(libraries)  # type: ignore[attr-defined]
    return write


class _Lower(Lower):
    """Write the code of a kernel."""

    def setup_function(self, fndesc: Any) -> None:
        if not fndesc.inline:
            super().setup_function(fndesc)
            return
        self.function = _declared(self.context, self.module, fndesc)
        self.entry_block = self.function.append_basic_block("entry")
        self.builder = llvm.IRBuilder(self.entry_block)
        self.call_helper = self.call_conv.init_call_helper(self.builder)

    def extract_function_arguments(self) -> Any:
        if not self.fndesc.inline:
            return super().extract_function_arguments()
        self.fnargs = _WholeTuples(self.context).decode_arguments(
            self.builder, self.fndesc.argtypes, self.function
        )
        return self.fnargs

    def _find_singly_assigned_variable(self) -> None:
        """Also keep those variables out of memory that are used in other blocks than their own.

        Numba writes and clears them as a whole, and LLVM takes that apart again, by field. Without
        counted references nothing happens where a variable ends.
        """
        if self.flags.nrt or self.func_ir.func_id.is_generator:
            super()._find_singly_assigned_variable()
            return
        blocks = self.func_ir.blocks
        written: dict[str, list[Any]] = {}
        for number, block in blocks.items():
            for assignment in block.find_insts(Assign):
                written.setdefault(assignment.target.name, []).append(number)
        once = {name: numbers[0] for name, numbers in written.items() if len(numbers) == 1}
        for number, names in compute_use_defs(blocks).usemap.items():
            for name in names:  # read here and written elsewhere
                # Code is written block by block in this order.
                if number <= once.get(name, number):
                    once.pop(name, None)
        self._singly_assigned_vars = set(once) - set(must_use_alloca(blocks))
        self._blk_local_varmap: dict[str, Any] = {}


class _Lowering(BaseNativeLowering):
    """The last pass."""

    _library: Any

    @property
    def lowering_class(self) -> Any:
        return _Lower

    def run_pass(self, state: Any) -> bool:
        if state.library is None:
            codegen = state.targetctx.codegen()
            state.library = self._library(codegen, state.func_id.func_qualname)
            state.library.enable_object_caching()
        super().run_pass(state)
        result = state["cr"]
        if result.fndesc.inline:
            context = state.targetctx
            context.remove_user_function(result.cfunc)
            call = _call_of(result.fndesc, [state.library])
            context.insert_func_defn([(call, result.cfunc, call.signature)])
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _LinkedLowering(_Lowering):
    _name: Any = "refsim_linked_lowering"
    _library = LinkedCode


@register_pass(mutates_CFG=True, analysis_only=False)
class _CompleteLowering(_Lowering):
    _name: Any = "refsim_complete_lowering"
    _library = CompleteCode


class _Options(Flags):
    """Options of a compilation, which Numba compares some thousand times for every kernel."""

    def __hash__(self) -> int:
        return hash(frozenset(self._values))  # not all values have hashes

    def __eq__(self, other: object) -> bool:
        return type(other) is _Options and self._values == other._values


class _Compiler(CompilerBase):
    _lowering: Any

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.flags = _Options(self.state.flags)

    def define_pipelines(self) -> list[Any]:
        """Return the passes."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (self._lowering if one is NativeLowering else one, text) for one, text in passes.passes
        ]
        passes.finalize()
        return [passes]


class LinkedCompiler(_Compiler):
    """Compile kernels that only kernels call."""

    _lowering = _LinkedLowering


class CompleteCompiler(_Compiler):
    """Compile kernels that Python calls."""

    _lowering = _CompleteLowering
