// At the desk. Everything here is an extra: the forms say what is missing without it, and the browser prints by itself.

// A barcode scanner is a keyboard that ends with Enter: as long as something is missing, Enter goes there and sends nothing.
const isFilled = (field, form) => {
  if (field.type === "radio") return !!form.elements[field.name].value;
  return field.type === "checkbox" ? field.checked : field.value.trim() !== "";
};
for (const form of document.querySelectorAll("form[data-scan]")) {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches("input, select")) return;
    const missing = [...form.elements].find((field) => field.required && !isFilled(field, form));
    if (!missing) return;
    event.preventDefault();
    missing.focus();
  });
}

// A form that is sent once is not sent again by a second tap.
for (const form of document.querySelectorAll("form[method='post']")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 5000);
  });
}
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
