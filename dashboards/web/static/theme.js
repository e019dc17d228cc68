// Before the first paint: the theme and the layout that this screen chose last.
(function () {
  "use strict";
  function stored(key) { try { return localStorage.getItem(key); } catch { return null; } }
  var asked = new URLSearchParams(location.search);
  var root = document.documentElement;
  var theme = asked.get("theme") || stored("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  if (asked.has("wall") || stored("wall") === "1") root.classList.add("wall");
})();
