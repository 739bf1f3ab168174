// The people page: roles, what somebody knows well, invitations, files.
import { base, call, get, post } from "./api.js";
import { openDialog } from "./dialogs.js";
import { byId, fill, make } from "./dom.js";
import { ago, table } from "./figures.js";
import { toast } from "./say.js";
import { signIn } from "./signin.js";

const ROLES = ["annotator", "reviewer", "owner"];
const N_SHOWN = 3;
let labels = [];

async function attempt(work, done = "") {
  try {
    const reply = await work();
    if (done) toast(done, { seconds: 3 });
    return reply;
  } catch (error) {
    if (error.isSignedOut) {
      await signIn();
      return attempt(work, done);
    }
    toast(error.message, { seconds: 8 });
    return null;
  }
}

async function change(person, fields, done) {
  await attempt(() => post(`/api/people/${encodeURIComponent(person.name)}`, fields), done);
  await drawPeople();
}

function roleOf(person) {
  const select = make("select", { "aria-label": `Role of ${person.name}`, on: { change: () => change(person, { role: select.value }, `${person.name} is ${select.value} now`) } },
    ...ROLES.map((role) => make("option", { value: role, selected: role === person.role }, role)));
  return select;
}

function knowledgeOf(person) {
  const known = person.expertise ?? [];
  const badges = known.slice(0, N_SHOWN).map((name) => make("span", { class: "badge", dir: "auto" }, name));
  if (known.length > N_SHOWN) badges.push(make("span", { class: "muted small" }, `and ${known.length - N_SHOWN} more`));
  const edit = make("button", { type: "button", class: "quiet small", "aria-label": `What ${person.name} knows well`, on: { click: () => editKnowledge(person) } }, known.length ? "Edit" : "Choose labels");
  return make("div", { class: "knows" }, ...badges, edit);
}

async function editKnowledge(person) {
  const known = new Set(person.expertise ?? []);
  const chosen = await openDialog((close) => {
    const ticks = labels.map((label) => make("label", { class: "tick" }, make("input", { type: "checkbox", value: label.name, checked: known.has(label.name) }), make("span", { dir: "auto" }, label.name)));
    const take = () => close(ticks.map((tick) => tick.firstChild).filter((box) => box.checked).map((box) => box.value));
    return [
      make("h2", { id: "dialog-title" }, `What ${person.name} knows well`), make("p", { class: "muted small" }, "With human.matching: expertise, texts that are probably of these labels go to them first."),
      make("div", { class: "choices" }, ...ticks),
      make("div", { class: "dialog-end" }, make("button", { type: "button", on: { click: () => close(null) } }, "Cancel"), make("button", { type: "button", class: "primary", on: { click: take } }, "Keep")),
    ];
  });
  if (chosen) await change(person, { expertise: chosen }, "Kept");
}

function accessOf(person) {
  const words = person.is_active ? "Lock out" : "Let in again";
  const button = make("button", { type: "button", class: "small", "aria-label": `${words}: ${person.name}`, disabled: Boolean(person.is_you), on: { click: () => change(person, { is_active: !person.is_active }, person.is_active ? `${person.name} is locked out` : `${person.name} may come in`) } }, words);
  return button;
}

async function drawPeople() {
  const found = await attempt(() => get("/api/people"));
  if (!found) return;
  const columns = [
    { title: "Name", cell: (person) => make("span", { class: person.is_active ? null : "away" }, person.name, person.is_you ? " (you)" : "") },
    { title: "Role", cell: roleOf },
    { title: "Knows well", cell: knowledgeOf },
    { title: "Here since", cell: (person) => ago(person.created_s) },
    { title: "Access", cell: accessOf },
  ];
  const empty = "Nobody has an account: whoever sits at this machine is the owner. The first account that is made ends that, so make one of an owner first.";
  fill(byId("people"), found.people.length ? table("People with an account", columns, found.people) : make("p", { class: "muted" }, empty));
}

function stateOf(invite) {
  if (invite.used_by) return `used by ${invite.used_by}`;
  return invite.expires_s * 1000 < Date.now() ? "expired" : `until ${new Date(invite.expires_s * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`;
}

async function drawInvites() {
  const found = await attempt(() => get("/api/invites"));
  if (!found) return;
  const isOpen = (invite) => !invite.used_by && invite.expires_s * 1000 > Date.now();
  const withdraw = (invite) => make("button", { type: "button", class: "small", "aria-label": `Withdraw the invitation of ${invite.name ?? "anybody"}`, on: { click: async () => { await attempt(() => call("DELETE", `/api/invites/${encodeURIComponent(invite.id)}`), "Withdrawn"); await drawInvites(); } } }, "Withdraw");
  const columns = [
    { title: "For", cell: (invite) => invite.name || "anybody" },
    { title: "Role", cell: (invite) => invite.role },
    { title: "Works", cell: stateOf },
    { title: "", cell: (invite) => (isOpen(invite) ? withdraw(invite) : null) },
  ];
  fill(byId("invites"), found.invites.length ? table("Invitations", columns, found.invites) : null);
}

function drawLink(url) {
  const box = make("input", { type: "text", readonly: true, "aria-label": "The link", value: new URL(url, location.href).href });
  const copy = make("button", { type: "button", class: "primary", on: { click: async () => {
    box.select();
    try {
      await navigator.clipboard.writeText(box.value);
      toast("Copied", { seconds: 2 });
    } catch {
      toast("Press Ctrl+C to copy the link", { seconds: 4 });
    }
  } } }, "Copy");
  fill(byId("link"), make("span", {}, "Shown once, send it now:"), box, copy);
  byId("link").hidden = false;
  copy.focus();
}

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

async function drawFiles() {
  const found = await attempt(() => get("/api/exports"));
  if (!found) return;
  const columns = [
    { title: "File", cell: (file) => make("a", { href: `${base}/exports/${encodeURIComponent(file.name)}`, download: file.name }, file.name) },
    { title: "Size", isNumber: true, cell: (file) => size(file.bytes) },
    { title: "Written", isNumber: true, cell: (file) => ago(file.created_s) },
  ];
  const files = [...found.files].sort((a, b) => b.created_s - a.created_s);
  fill(byId("files"), files.length ? table("Files to fetch", columns, files) : make("p", { class: "muted" }, "No file has been written yet."));
}

byId("invite").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  const name = fields.get("name").trim();
  const body = { role: fields.get("role"), hours: Number(fields.get("hours")), ...(name ? { name } : {}) };
  const reply = await attempt(() => post("/api/invites", body));
  if (!reply) return;
  drawLink(reply.url);
  event.target.reset();
  await drawInvites();
});

byId("export").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  button.disabled = true;
  const reply = await attempt(() => post("/api/exports", { format: new FormData(event.target).get("format") }));
  button.disabled = false;
  if (reply) toast(`${reply.file} is written`, { seconds: 3 });
  await drawFiles();
});

async function start() {
  labels = (await attempt(() => get("/api/scheme")))?.labels ?? [];
  await Promise.all([drawPeople(), drawInvites(), drawFiles()]);
}

start();
