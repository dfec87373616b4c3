"use strict";

// Order of two cells: numbers by value, text by letters, and what is empty last in any direction.
function compare(a, b, numeric, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  return sign * (numeric ? number(a) - number(b) || 0 : a < b ? -1 : Number(a > b));
}

function number(text) {
  return text === "inf" ? Number.MAX_VALUE : text === "-inf" ? -Number.MAX_VALUE : Number(text);
}

function sortBy(table, head, index) {
  const ascending = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const numeric = !head.classList.contains("text");
  const key = (row) => row.cells[index].dataset.sort;
  const rows = [...body.rows];
  rows.sort((a, b) => compare(key(a), key(b), numeric, ascending ? 1 : -1));
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, head, index));
  });
}

// A row that is hidden hides the details of its case.
function applyFilter(form, rows) {
  const wanted = form.querySelector("input").value.toLowerCase().trim();
  const verdict = form.querySelector("select").value;
  let shown = 0;
  for (const row of rows) {
    const fits = row.textContent.toLowerCase().includes(wanted);
    row.hidden = !fits || (verdict !== "" && row.dataset.verdict !== verdict);
    shown += Number(!row.hidden);
    const details = row.dataset.about && document.getElementById(row.dataset.about);
    if (details) details.hidden = row.hidden;
  }
  form.querySelector("output").textContent = shown + " of " + rows.length + " shown";
}

for (const part of document.querySelectorAll(".filtered")) {
  const form = part.querySelector("form");
  const rows = [...part.querySelector("tbody").rows];
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, () => applyFilter(form, rows));
  }
  applyFilter(form, rows);
}

for (const bar of document.querySelectorAll(".unfold")) {
  bar.hidden = false;
  bar.addEventListener("click", (event) => {
    const open = event.target.dataset.open;
    if (open === undefined) return;
    for (const details of bar.parentNode.querySelectorAll("details")) {
      details.open = open === "true";
    }
  });
}

// Details that a link leads into are opened, also if a filter has hidden them.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target && target.closest("details");
  if (!details) return;
  details.hidden = false;
  details.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.hash === location.hash) reveal();
});
reveal();

// On paper everything is open, also where the style sheet cannot see to it.
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const details of closed) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
