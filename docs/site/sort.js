// A click on a heading sorts the table by that column, a second click reverses the order. Cells are compared by their
// first number ("43.4 ± 0.9" by 43.4); text follows numbers, and dashes come last.
(() => {
  const number = (cell) => parseFloat(cell.textContent.replace("−", "-").match(/-?\d+(\.\d+)?/)?.[0]);

  const compare = (column, sign) => (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    const [m, n] = [number(x), number(y)];
    if (isNaN(m) && isNaN(n)) return sign * x.textContent.localeCompare(y.textContent);
    if (isNaN(m) || isNaN(n)) return isNaN(m) ? 1 : -1;
    return sign * (m - n);
  };

  const sort = (heading) => {
    const table = heading.closest("table");
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].sort(compare(heading.cellIndex, ascending ? 1 : -1));
    table.tBodies[0].append(...rows);
  };

  document.addEventListener("click", (event) => {
    const heading = event.target.closest("article table thead th");
    if (heading) sort(heading);
  });
})();
