// A form that was sent while there was no room for it is sent again by itself, until there is.
// Without this the page says the same, and people press the button again.

const MOST_TRIES = 40;
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const show = (text, address) => {
  const page = new DOMParser().parseFromString(text, "text/html");
  document.title = page.title;
  page.querySelectorAll("[autofocus]").forEach((each) => each.removeAttribute("autofocus"));
  document.getElementById("content").replaceWith(page.getElementById("content"));
  history.replaceState(null, "", address);
  scrollTo(0, 0);
  (document.querySelector("[data-focus]") ?? document.getElementById("content")).focus();
};

const send = async (form) => {
  const body = new URLSearchParams(new FormData(form));
  for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
    // Not followed here: the page it leads to would be drawn twice, and what it tells once would be lost.
    const answer = await fetch(location.href, { method: "POST", body, redirect: "manual" });
    if (answer.type === "opaqueredirect") return location.assign(form.dataset.then);
    if (answer.status !== 503 || !answer.headers.has("Retry-After") || tries === MOST_TRIES) {
      return show(await answer.text(), answer.url);
    }
    form.querySelector("[data-patience]").hidden = false;
    // Not all at the same moment.
    await wait(Number(answer.headers.get("Retry-After")) * (0.5 + Math.random()));
  }
};

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-patient]")) return;
  event.preventDefault();
  if (form.dataset.sending) return;
  form.dataset.sending = "yes";
  try {
    await send(form);
  } catch {
    form.submit(); // whatever is wrong, the browser says it better
  } finally {
    delete form.dataset.sending;
  }
});
