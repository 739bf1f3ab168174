// Similar texts under one proposed label: look through, take single ones out, accept the rest.
import { byId, fill, make } from "./dom.js";
import { REST } from "./forms.js";

const box = () => byId("members");
const rows = () => [...box().children];
const ticks = () => rows().map((row) => row.querySelector("input"));

function row(member, n, onChange) {
  const tick = make("input", { type: "checkbox", id: `member-${n}`, checked: true, on: { change: onChange } });
  const text = make("label", { for: `member-${n}`, class: "member-text", dir: "auto" }, member.text);
  return make("li", { class: "member" }, tick, text);
}

function move(step) {
  const all = ticks();
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
  next?.focus();
  next?.closest("li").scrollIntoView({ block: "nearest" });
}

function split(ticket) {
  const isKept = ticks().map((tick) => tick.checked);
  return { kept: ticket.members.filter((_, n) => isKept[n]), out: ticket.members.filter((_, n) => !isKept[n]) };
}

function drawAccept(view, ticket) {
  const { kept, out } = split(ticket);
  const words = kept.length ? `Accept ${kept.length} of ${ticket.members.length} as` : "Ask all of them one by one";
  const name = kept.length ? make("strong", { dir: "auto" }, ticket.options[0]) : null;
  const accept = make("button", { type: "button", class: "big primary", on: { click: () => view.chooseMany(split(ticket)) } }, make("kbd", { "aria-hidden": "true" }, "↵"), words, name);
  const single = make("button", { type: "button", class: "rest", on: { click: () => view.chooseMany({ kept: [], out: ticket.members }) } }, make("kbd", { "aria-hidden": "true" }, REST), "Ask one by one");
  fill(byId("offered"), accept, single);
  rows().forEach((item, n) => item.classList.toggle("out", !ticks()[n].checked));
  return out.length;
}

export const bulk = {
  draw(view, ticket) {
    fill(byId("ask"), "Are these all ", make("strong", { dir: "auto" }, ticket.options[0]), "?",
      make("span", { class: "muted small hint" }, make("kbd", {}, "↑"), " ", make("kbd", {}, "↓"), " look through, ", make("kbd", {}, "Space"), " takes one out"));
    fill(box(), ...ticket.members.map((member, n) => row(member, n, () => drawAccept(view, ticket))));
    box().hidden = false;
    box().tabIndex = -1;
    drawAccept(view, ticket);
  },
  onKey(view, ticket, name) {
    if (name === "Down" || name === "j") move(1);
    else if (name === "Up" || name === "k") move(-1);
    else if (name === "Space") move(1);
    else if (name === REST) view.chooseMany({ kept: [], out: ticket.members });
    else return false;
    return true;
  },
  /** Enter on a check box of the list accepts too. */
  submit(view, ticket) {
    view.chooseMany(split(ticket));
  },
  accepts: () => null,
};
