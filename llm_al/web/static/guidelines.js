// The guidelines page: read by everybody, written by the owner with a preview beside the source.
import { call } from "./api.js";
import { byId, fill, setText } from "./dom.js";
import { render } from "./markdown.js";
import { say, toast } from "./say.js";
import { signIn } from "./signin.js";

const source = byId("source");
let saved = source.value;
let timer = 0;

const show = (element, text) => fill(element, text.trim() ? render(text) : "This project has no guidelines yet.");
const isChanged = () => source.value !== saved;

function write(isWriting) {
  byId("writing").hidden = !isWriting;
  byId("reading").hidden = isWriting;
  byId("edit").hidden = isWriting || document.body.dataset.role !== "owner";
  if (isWriting) {
    show(byId("preview"), source.value);
    source.focus();
  } else {
    show(byId("prose"), saved);
  }
}

async function save() {
  const text = source.value;
  try {
    await call("PUT", "/api/guidelines", { text });
  } catch (error) {
    if (error.isSignedOut) {
      await signIn();
      return save();
    }
    return setText(byId("saved"), `Not saved: ${error.message}`);
  }
  saved = text;
  setText(byId("saved"), "");
  toast("The guidelines are saved; everybody sees them from now on", { seconds: 4 });
  write(false);
  return byId("edit").focus();
}

function cancel() {
  if (isChanged() && !confirm("Leave without saving?")) return;
  source.value = saved;
  write(false);
}

source.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => show(byId("preview"), source.value), 120);
});
source.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
});
byId("writing").addEventListener("submit", (event) => { event.preventDefault(); save(); });
byId("cancel").addEventListener("click", cancel);
byId("edit").addEventListener("click", () => { write(true); say("Editing the guidelines"); });
addEventListener("beforeunload", (event) => { if (!byId("writing").hidden && isChanged()) event.preventDefault(); });
write(false);
