// Everything here is an extra: every page and form works without it.

// Say at once what has to be corrected, also where the browser does not honour autofocus.
addEventListener("load", () => setTimeout(() => {
  if (document.activeElement === document.body) document.querySelector("[data-focus]")?.focus();
}, 100));

// A form that is sent once is not sent again by a second tap.
for (const form of document.querySelectorAll("form[method='post']")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 5000);
  });
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Filters: new results as soon as a choice is made or typing pauses, without leaving the page.
const filters = document.querySelector("form[data-filters]");
if (filters) {
  let pause;
  let latest = 0;
  const refresh = async () => {
    const number = ++latest;
    const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
    const address = `${filters.action.split("?")[0]}?${query}`;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (number !== latest) return;
      for (const id of ["count", "results"]) document.getElementById(id).replaceChildren(...page.getElementById(id).childNodes);
      document.querySelectorAll(".languages button").forEach((button, index) => {
        button.setAttribute("formaction", page.querySelectorAll(".languages button")[index].getAttribute("formaction"));
      });
      history.replaceState(null, "", `${query}` ? address : filters.action);
    } catch {
      if (number === latest) filters.submit();
    }
  };
  filters.addEventListener("change", () => { clearTimeout(pause); refresh(); });
  filters.addEventListener("input", (event) => {
    clearTimeout(pause);
    if (event.target.type === "search") pause = setTimeout(refresh, 350);
  });
  filters.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
}
