// On to the tool, with what the page holds. Without this there is a button. Whoever comes back goes further back: what
// the page holds was good once.
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") history.back();
else document.querySelector("form[data-post]").submit();
