(function () {
  function hint() {
    Array.prototype.forEach.call(document.querySelectorAll(".wide"), function (wide) {
      var before = wide.previousElementSibling, is = before && before.className === "more";
      var scrolls = wide.scrollWidth > wide.clientWidth + 1;
      if (scrolls && !is) {
        var more = document.createElement("p");
        more.className = "more";
        more.textContent = "scroll sideways for more \u2192";
        wide.parentNode.insertBefore(more, wide);
      } else if (!scrolls && is) before.remove();
    });
  }
  hint();
  window.addEventListener("resize", hint);
  Array.prototype.forEach.call(document.querySelectorAll("details"), function (d) { d.addEventListener("toggle", hint); });
  var reader = document.getElementById("reader"), told = document.getElementById("told");
  if (!reader || !told) return;
  var letters = Array.prototype.slice.call(reader.querySelectorAll("i"));
  var plain = letters.map(function (i) { return i.className; });
  var shown = null;
  function tell(event) {
    var i = event.target.closest ? event.target.closest("#reader i") : null;
    if (!i || i === shown) return;
    if (shown) shown.classList.remove("on");
    i.classList.add("on");
    shown = i;
    told.textContent = i.title;
  }
  reader.addEventListener("pointerover", tell);
  reader.addEventListener("click", tell);
  var kept = document.getElementById("traces"), tools = document.getElementById("tools");
  if (!kept || !tools) return;
  var traces = JSON.parse(kept.textContent), select = document.getElementById("by");
  tools.hidden = false;
  select.addEventListener("change", function () {
    var shades = select.value === "" ? null : traces[Number(select.value)];
    letters.forEach(function (i, t) {
      var mark = plain[t].indexOf("x") < 0 ? "" : " x";
      i.className = shades === null ? plain[t] : "u" + shades.charAt(t) + mark;
    });
    shown = null;
    document.getElementById("losses").hidden = shades !== null;
    document.getElementById("values").hidden = shades === null;
  });
})();
