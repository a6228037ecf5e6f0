// Filters, theme and printing. Without this script everything is shown, in the theme that the system asks for.
(() => {
  "use strict";
  const root = document.documentElement;
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const names = ["workload", "variant", "threads"];
  const rows = [...document.querySelectorAll("tr[data-variant]")];

  const wanted = () => Object.fromEntries(names.map((name) => [name, form.elements[name].value.trim()]));

  function apply() {
    const filter = wanted();
    const words = filter.variant.toLowerCase().split(/\s+/).filter(Boolean);
    for (const part of document.querySelectorAll("[data-workload]")) {
      part.hidden = filter.workload !== "" && part.dataset.workload !== filter.workload;
    }
    let count = 0;
    for (const row of rows) {
      const variant = row.dataset.variant.toLowerCase();
      row.hidden = !words.every((word) => variant.includes(word))
        || (filter.workload !== "" && (row.dataset.workload || filter.workload) !== filter.workload)
        || (filter.threads !== "" && row.dataset.threads !== "" && row.dataset.threads !== filter.threads);
      count += row.classList.contains("cell") && !row.hidden && row.closest("[hidden]") === null ? 1 : 0;
    }
    for (const table of document.querySelectorAll("details.cells")) {
      if (names.some((name) => filter[name] !== "")) {
        table.open = true;
      }
    }
    shown.textContent = count + " of " + rows.filter((row) => row.classList.contains("cell")).length + " cells shown";
  }

  // #workload=remove&variant=spinlock&threads=2 is a link to what is filtered; any other # is a place in the page.
  function read_address() {
    const said = new URLSearchParams(location.hash.slice(1));
    if (location.hash.includes("=")) {
      for (const name of names) {
        form.elements[name].value = said.get(name) || "";
      }
      apply();
    } else if (location.hash.length > 1) {
      const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      for (let around = place; around; around = around.parentElement) {
        around.hidden = false;
        if (around.tagName === "DETAILS") {
          around.open = true;
        }
      }
      if (place) {
        place.scrollIntoView();
      }
    }
  }

  function write_address() {
    const said = new URLSearchParams(Object.entries(wanted()).filter(([, value]) => value !== ""));
    history.replaceState(null, "", String(said) ? "#" + said : location.pathname);
  }

  form.hidden = false;
  form.addEventListener("input", () => { apply(); write_address(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { apply(); write_address(); }));
  window.addEventListener("hashchange", read_address);

  const toggle = document.getElementById("theme");
  const remembered = "page-map-lab-theme";
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { toggle.textContent = dark() ? "Light" : "Dark"; };
  try {
    root.dataset.theme = localStorage.getItem(remembered) || "";
  } catch { /* a browser that keeps nothing for files */ }
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem(remembered, root.dataset.theme); } catch { /* see above */ }
    label();
  });
  label();

  // Nobody can open what is on paper: each answer is printed with the parameters at which it holds.
  window.addEventListener("beforeprint", () => {
    for (const place of document.querySelectorAll(".answer details")) {
      place.open = true;
    }
  });

  apply();
  read_address();
})();
