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

// Filters: new results and counts as soon as a choice is made or typing pauses, without leaving the page.
const filters = document.querySelector("form[data-filters]");
if (filters) {
  let pause;
  let latest = new AbortController();
  const refresh = async () => {
    clearTimeout(pause);
    latest.abort();
    const asked = latest = new AbortController();
    const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value.trim()));
    const address = filters.action.split("?")[0] + (`${query}` && `?${query}`);
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: asked.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (asked !== latest) return;
      for (const id of ["count", "results"]) document.getElementById(id).replaceChildren(...page.getElementById(id).childNodes);
      for (const select of filters.querySelectorAll("select")) {
        const { value } = select;
        select.replaceChildren(...page.getElementById(select.id).childNodes);
        select.value = value;
      }
      document.querySelectorAll(".languages button").forEach((button, index) => {
        button.setAttribute("formaction", page.querySelectorAll(".languages button")[index].getAttribute("formaction"));
      });
      history.replaceState(null, "", address);
    } catch {
      if (asked === latest) filters.submit();
    }
  };
  filters.addEventListener("change", (event) => { if (event.target.type !== "search") refresh(); });
  filters.addEventListener("input", (event) => {
    if (event.target.type !== "search") return;
    clearTimeout(pause);
    pause = setTimeout(refresh, 250);
  });
  filters.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
}

// A form whose answer changes one part of the page: that part alone is drawn anew.
addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.inPlace || event.defaultPrevented) return;
  event.preventDefault();
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.getElementById(form.dataset.inPlace);
    part.prepend(...page.querySelectorAll(".messages > .warn"));
    document.getElementById(form.dataset.inPlace).replaceWith(part);
    (part.querySelector("button") || part).focus();
  } catch {
    form.submit();
  }
});
