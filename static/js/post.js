// On to the tool, with what the page holds. Without this there is a button.
document.querySelector("form[data-post]").submit();
