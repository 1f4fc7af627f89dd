// The SQL editor, from Datasette's own CodeMirror and formatter; apart from the page, whose policy allows no script inside it.
addEventListener("DOMContentLoaded", () => {
  const area = document.querySelector("textarea#sql-editor");
  const shown = document.querySelector("pre#sql-query");
  const button = document.querySelector("button#sql-format");
  if (area) {
    const editor = CodeMirror.fromTextArea(area, {
      lineNumbers: true, lineWrapping: true, mode: "text/x-sql",
      extraKeys: { "Shift-Enter": () => area.form.submit(), Tab: false },
    });
    editor.getInputField().setAttribute("aria-label", "SQL");
    button.addEventListener("click", () => editor.setValue(sqlFormatter.format(editor.getValue())));
  } else if (shown) {
    button.addEventListener("click", () => { shown.textContent = sqlFormatter.format(shown.textContent); });
  }
  if (button) button.hidden = !area && sqlFormatter.format(shown.textContent) === shown.textContent;
});
