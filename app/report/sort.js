/* Tables of class `sort`: a button in each heading orders the rows, numbers as numbers, missing ones last, whichever way.
 * Without this script all is there in the order of the batch. */
(function () {
  "use strict";
  function key(row, column) {
    var cell = row.cells[column], value = cell ? cell.getAttribute("data-v") : null;
    return value !== null ? parseFloat(value) : cell ? cell.textContent.trim() : "";
  }
  function missing(k) {
    return k === "" || k === "–" || (typeof k === "number" && isNaN(k));
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b, "en", { numeric: true });
  }
  /* A row that unfolds (class `more`) stays under the one it belongs to. */
  function groups(body) {
    var list = [];
    Array.prototype.forEach.call(body.rows, function (row) {
      if (row.className === "more" && list.length) list[list.length - 1].push(row);
      else list.push([row]);
    });
    return list;
  }
  function sort(table, heading, column) {
    var down = heading.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (h) {
      h.setAttribute("aria-sort", h === heading ? (down ? "descending" : "ascending") : "none");
    });
    groups(body)
      .map(function (rows, i) { return { rows: rows, i: i, k: key(rows[0], column) }; })
      .sort(function (a, b) {
        var ma = missing(a.k), mb = missing(b.k);
        if (ma || mb) return ma === mb ? a.i - b.i : ma ? 1 : -1;
        return (down ? -1 : 1) * compare(a.k, b.k) || a.i - b.i;
      })
      .forEach(function (group) {
        group.rows.forEach(function (row) { body.appendChild(row); });
      });
  }
  Array.prototype.forEach.call(document.querySelectorAll("table.sort"), function (table) {
    if (!table.tHead || !table.tBodies[0] || table.tBodies[0].rows.length < 2) return;
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (heading, column) {
      var button = document.createElement("button");
      button.type = "button";
      while (heading.firstChild) button.appendChild(heading.firstChild);
      heading.appendChild(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", function () { sort(table, heading, column); });
    });
  });
  /* A link into a folded part opens it. */
  function reveal() {
    var target = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    for (var at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView({ block: "center" });
  }
  window.addEventListener("hashchange", reveal);
  document.addEventListener("click", function (event) {
    var link = event.target.closest ? event.target.closest("a[href^='#']") : null;
    if (link && link.getAttribute("href") === location.hash) setTimeout(reveal, 0);
  });
  reveal();
})();
