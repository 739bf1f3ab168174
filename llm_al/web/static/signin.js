// The session is over: log in again in a window, so that the answer at hand and those on their way are not lost.
import { base, Refused, useToken } from "./api.js";
import { openDialog } from "./dialogs.js";
import { make } from "./dom.js";

let open = null;

async function send(fields) {
  const response = await fetch(`${base}/api/login`, {
    method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(fields),
  });
  const reply = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, reply.error ?? "this did not work");
  return reply;
}

function field(name, words, autocomplete, type = "password") {
  const input = make("input", { type, name, autocomplete, maxlength: "1024", autocapitalize: "none", spellcheck: "false" });
  return make("label", { class: "field" }, words, input);
}

function build(close) {
  const error = make("p", { class: "notice bad", role: "alert", hidden: true });
  const name = field("name", "Name", "username", "text");
  name.querySelector("input").value = document.body.dataset.person;
  const token = make("details", {}, make("summary", {}, "Log in with a token instead"), field("token", "Token", "off"));
  const form = make("form", { class: "stack" }, error, name, field("password", "Password", "current-password"), token, make("div", { class: "dialog-end" }, make("button", { class: "primary" }, "Log in")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      close(await send(Object.fromEntries(new FormData(form))));
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
  });
  return [make("h2", { id: "dialog-title" }, "Please log in again"), make("p", { class: "muted" }, "Your session is over. The answers that you gave are kept in this tab and sent after you are in."), form];
}

async function run() {
  let reply = null;
  while (!reply) reply = await openDialog(build);
  // Somebody else's page begins anew; what the first one answered waits for them in this tab.
  if (reply.person && reply.person.name !== document.body.dataset.person) location.reload();
  useToken(reply.csrf);
}

/** Ask until somebody is logged in; asked twice at once it is one window. */
export function signIn() {
  open ??= run().finally(() => { open = null; });
  return open;
}
