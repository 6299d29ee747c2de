// Sending a large file: how far it is. Without script the form works as any other.
addEventListener("submit", (event) => {
  const form = event.target;
  const place = form.querySelector("[data-reading]");
  if (!place || !form.querySelector("input[type=file]").files.length) return;
  event.preventDefault();
  if (!place.hidden) return;
  const bar = place.querySelector("progress");
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", ({ loaded, total }) => { bar.max = total; bar.value = loaded; });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    place.querySelector("span").textContent = place.dataset.reading;
  });
  // The answer takes the page's place; where there is none, the browser sends the form itself and says what is wrong.
  request.addEventListener("loadend", () => {
    const page = request.response;
    if (!page?.body) return form.submit();
    history.replaceState(null, "", request.responseURL);
    document.title = page.title;
    page.querySelector("[autofocus]")?.removeAttribute("autofocus");
    document.body.replaceWith(document.adoptNode(page.body));
    document.querySelector("[data-focus], h1")?.scrollIntoView();
    document.querySelector("[data-focus]")?.focus();
  });
  request.open("POST", location.href);
  request.responseType = "document";
  request.send(new FormData(form));
  place.hidden = false;
});
