// Tooltips, arrow keys in charts, and the buttons. Everything to read is in the page without it.
(() => {
  "use strict";
  const root = document.documentElement;
  const tip = document.getElementById("tip");
  const report = document.getElementById("report").textContent;
  const make = (name, className, text = "") => {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  };
  const stopAt = (event) => (event.target instanceof Element ? event.target.closest(".stop") : null);

  const hide = () => { tip.hidden = true; };
  const show = (stop) => {
    const [title, ...lines] = stop.dataset.tip.split("\n");
    const rows = lines.map((line) => {
      const [className, name, value] = line.split("\t");
      const row = make("div", "row");
      row.append(make("i", className), make("span", "", name), make("b", "", value));
      return row;
    });
    tip.replaceChildren(make("div", "title", title), ...rows);
    tip.hidden = false;
    // Beside the place it tells of, and always on the page.
    const mark = (stop.querySelector("line") ?? stop).getBoundingClientRect();
    const chart = stop.ownerSVGElement.getBoundingClientRect();
    const room = root.clientWidth - tip.offsetWidth - 8;
    const right = mark.left + 14;
    const left = right <= room ? right : Math.max(8, mark.left - tip.offsetWidth - 14);
    tip.style.left = `${Math.min(left, Math.max(8, room)) + window.scrollX}px`;
    tip.style.top = `${(stop.querySelector("line") ? chart.top + 6 : mark.bottom + 4) + window.scrollY}px`;
  };
  const follow = (event) => { const stop = stopAt(event); if (stop) show(stop); else hide(); };
  document.addEventListener("pointerover", follow);
  document.addEventListener("focusin", follow);
  document.addEventListener("focusout", hide);

  // One stop of each chart is on the way of the Tab key: the one that was last looked at.
  document.addEventListener("keydown", (event) => {
    const stop = stopAt(event);
    if (event.key === "Escape") hide();
    if (!stop) return;
    const all = [...stop.parentNode.querySelectorAll(":scope > .stop")];
    const at = all.indexOf(stop);
    const to = {
      ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1,
      Home: 0, End: all.length - 1,
    }[event.key];
    const next = all[to];
    if (to === undefined) return;
    event.preventDefault();
    if (!next) return;
    stop.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  document.getElementById("save").addEventListener("click", () => {
    const file = new Blob([JSON.stringify(JSON.parse(report), null, 2), "\n"], { type: "application/json" });
    const link = make("a", "");
    link.href = URL.createObjectURL(file);
    link.download = "report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentNode.querySelector("code");
      // Selected in any case: where the clipboard is not to be had, the keyboard copies.
      window.getSelection().selectAllChildren(code);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Press Ctrl-C";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // The link to the section that is being read.
  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const reading = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const link = links.get(target.id);
      if (isIntersecting) link?.setAttribute("aria-current", "true"); else link?.removeAttribute("aria-current");
    }
  }, { rootMargin: "-70px 0px -60% 0px" });
  for (const section of document.querySelectorAll("section[id]")) reading.observe(section);

  const unfold = () => {
    const id = decodeURIComponent(window.location.hash.slice(1));
    const target = id && document.getElementById(id);
    const folded = target && target.closest("details");
    if (folded) { folded.open = true; folded.scrollIntoView(); }
  };
  window.addEventListener("hashchange", unfold);
  unfold();
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
  });
})();
