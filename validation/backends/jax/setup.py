"""JAX as the back ends use it: a clear error where it is missing, and float64 on demand."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from refsim.errors import InvalidTypeError, MissingExtraError

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise MissingExtraError("this back end needs jax: pip install 'refsim[jax]'") from error


def float64() -> AbstractContextManager[Any]:
    """Return a context in which JAX computes in float64; the setting of the user is left alone."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    import jax.experimental as before  # of jax 0.8

    context: AbstractContextManager[Any] = vars(before)["enable_x64"]()
    return context


def check_float64(name: str, value: Any) -> None:
    """Refuse an array of another type than float64."""
    if value.dtype != jnp.float64:
        raise InvalidTypeError(
            f"{name} has the dtype {value.dtype}; expected float64 (see jax.enable_x64)"
        )


def device_name() -> str:
    """Return the name of the device that JAX computes on by default."""
    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}"
