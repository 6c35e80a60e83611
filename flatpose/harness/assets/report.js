// Tables that sort and plots that zoom. The pages are readable without it.
(function () {
  "use strict";

  const collator = new Intl.Collator("en", {numeric: true, sensitivity: "base"});
  const NUMBER = /^[±+−-]?\s*(\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?/i;

  // Number, text, or null for a cell without a value.
  function keyOf(cell, numeric) {
    if (!cell) return null;
    const given = cell.dataset.value;
    const text = (given === undefined ? cell.textContent : given).trim();
    if (text === "" || text === "—" || (given === undefined && cell.hasAttribute("title") && numeric)) return null;
    if (!numeric) return text;
    if (given !== undefined) return Number(given);
    const found = NUMBER.exec(text);
    return found ? Number(found[0].replace(/[±\s,]/g, "").replace("−", "-")) : text;
  }

  // Cells without a value stay at the end whichever way the others are sorted; text comes after numbers.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
  }

  // A column is numeric when its heading says so, or when every text in it starts as a number (first columns too).
  function isNumeric(head, rows, index) {
    if (head.classList.contains("num")) return true;
    const texts = rows.map((row) => row.cells[index]).filter((c) => c && c.tagName === "TD" && c.textContent.trim());
    return texts.length > 0 && texts.every((c) => NUMBER.test(c.textContent.trim()));
  }

  function sortable(table) {
    if (!table.tHead || !table.tBodies.length) return;
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    const original = [...body.rows];
    const groups = original.filter((row) => row.classList.contains("group"));
    const rows = original.filter((row) => !row.classList.contains("group"));

    function sort(index, order) {
      heads.forEach((head, i) => head.setAttribute("aria-sort", i === index ? order : "none"));
      table.classList.toggle("sorted", order !== "none");
      if (order === "none") {
        body.append(...original);
        return;
      }
      const sign = order === "ascending" ? 1 : -1, numeric = isNumeric(heads[index], rows, index);
      const keyed = rows.map((row, i) => [keyOf(row.cells[index], numeric), i, row]);
      keyed.sort((a, b) => compare(a[0], b[0], sign) || a[1] - b[1]);
      body.append(...groups, ...keyed.map((k) => k[2]));
    }

    heads.forEach((head, index) => {
      const button = head.querySelector("button");
      if (!button) return;
      const first = head.dataset.first || "ascending";
      const next = {none: first, [first]: first === "ascending" ? "descending" : "ascending"};
      button.addEventListener("click", () => sort(index, next[head.getAttribute("aria-sort")] || "none"));
    });
  }

  // A tapped or clicked cell tells what its tooltip says, and the same again ends it: phones have no hovering pointer.
  function details(table) {
    let line = null;
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("td[title]");
      if (!cell) return;
      if (!line) {
        line = document.createElement("p");
        line.className = "detail";
        line.setAttribute("role", "status");
        table.closest(".scroll").after(line);
      }
      const again = cell.classList.contains("chosen");
      table.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
      cell.classList.toggle("chosen", !again);
      line.textContent = cell.title;
      line.hidden = again;
    });
  }

  function zoomable(figure) {
    const view = figure.querySelector(".view"), svg = view.querySelector("svg"), output = figure.querySelector("output");
    const [x0, y0, w0, h0] = svg.getAttribute("viewBox").split(/[\s,]+/).map(Number);
    const pointers = new Map(), ratio = h0 / w0, middle = {fx: 0.5, fy: 0.5};
    let box = {x: x0, y: y0, w: w0};

    const zoomed = () => box.w < w0 * 0.999;

    function show() {
      const h = box.w * ratio;
      box.x = Math.min(Math.max(box.x, x0), x0 + w0 - box.w);
      box.y = Math.min(Math.max(box.y, y0), y0 + h0 - h);
      svg.setAttribute("viewBox", [box.x, box.y, box.w, h].map((v) => +v.toFixed(4)).join(" "));
      view.classList.toggle("zoomed", zoomed());
      output.textContent = zoomed() ? (w0 / box.w).toFixed(1) + "×" : "";
    }

    function spot(clientX, clientY) {
      const frame = svg.getBoundingClientRect();
      return {fx: (clientX - frame.left) / frame.width, fy: (clientY - frame.top) / frame.height};
    }

    // The point under the pointer keeps its place.
    function zoom(factor, {fx, fy}) {
      const w = Math.min(Math.max(box.w / factor, w0 / 24), w0);
      box = {x: box.x + fx * (box.w - w), y: box.y + fy * (box.w - w) * ratio, w: w};
      show();
    }

    function move(dx, dy) {
      const frame = svg.getBoundingClientRect();
      box.x -= dx / frame.width * box.w;
      box.y -= dy / frame.height * box.w * ratio;
      show();
    }

    function reset() {
      box = {x: x0, y: y0, w: w0};
      show();
    }

    // The wheel scrolls the page until the plot has been chosen, so that nobody is caught in it on the way down.
    view.addEventListener("wheel", (event) => {
      const ours = document.activeElement === view || event.ctrlKey || event.metaKey || zoomed();
      if (!ours || (!zoomed() && event.deltaY > 0)) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), spot(event.clientX, event.clientY));
    }, {passive: false});

    view.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, event);
      if (zoomed() || pointers.size > 1) view.setPointerCapture(event.pointerId);
    });
    view.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
      if (other) {
        const apart = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
        const centre = spot((event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
        move((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
        zoom(apart(event) / Math.max(apart(before), 1), centre);
      } else if (zoomed()) {
        move(event.clientX - before.clientX, event.clientY - before.clientY);
      }
      pointers.set(event.pointerId, event);
    });
    ["pointerup", "pointercancel", "pointerleave"].forEach((name) => {
      view.addEventListener(name, (event) => pointers.delete(event.pointerId));
    });
    ["touchstart", "touchmove"].forEach((name) => view.addEventListener(name, (event) => {
      if (event.cancelable && (event.touches.length > 1 || (name === "touchmove" && zoomed()))) event.preventDefault();
    }, {passive: false}));
    view.addEventListener("dblclick", (event) => {
      if (zoomed()) reset();
      else zoom(2, spot(event.clientX, event.clientY));
    });

    const keys = {"+": () => zoom(1.5, middle), "=": () => zoom(1.5, middle), "-": () => zoom(1 / 1.5, middle),
      "0": reset, Escape: reset, ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0),
      ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40)};
    view.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || (event.key.startsWith("Arrow") && !zoomed())) return;
      event.preventDefault();
      act();
    });
    figure.querySelectorAll("button[data-act]").forEach((button) => {
      button.addEventListener("click", keys[button.dataset.act]);
    });
  }

  document.querySelectorAll("table.sortable").forEach((table) => {
    sortable(table);
    details(table);
  });
  document.querySelectorAll("figure.plot").forEach(zoomable);
  document.documentElement.classList.add("live");
})();
