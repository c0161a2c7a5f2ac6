// Press a column's head: its rows are sorted by the number in data-value, or by text; what is missing comes last.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const number = row => Number(row.cells[column].dataset.value ?? NaN);
    const text = row => row.cells[column].textContent;
    const compare = (a, b) => {
      const [m, n] = [number(a), number(b)];
      if (isNaN(m) !== isNaN(n)) return isNaN(m) ? 1 : -1;
      return (rising ? 1 : -1) * (isNaN(m) ? text(a).localeCompare(text(b)) : m - n);
    };
    const body = table.tBodies[0];
    [...body.rows].sort(compare).forEach(row => body.append(row));
  }));
}
