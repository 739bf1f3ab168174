// What an accessibility checker asks of a page; gives a list of complaints. Run in the page by test_pages.py.
() => {
  const found = [];
  const isSeen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !element.closest('.unseen, [aria-hidden="true"], .skip-link');
  const nameOf = (element) => {
    const by = (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
    return [element.getAttribute("aria-label"), by, labels, element.textContent, element.getAttribute("title")].find((text) => text?.trim()) ?? "";
  };
  const where = (element) => `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${element.className} "${(element.textContent ?? "").trim().slice(0, 30)}"`;

  const controls = 'button, a[href], input:not([type="hidden"]), select, textarea, summary, [role="option"], [role="tab"], [tabindex="0"]';
  for (const element of document.querySelectorAll(controls)) {
    if (!isSeen(element)) continue;
    if (!nameOf(element).trim()) found.push(`no name: ${where(element)}`);
    const { width, height } = element.getBoundingClientRect();
    const isInline = element.matches("a") && getComputedStyle(element).display === "inline";
    if (!isInline && (width < 24 || height < 24)) found.push(`target of ${Math.round(width)} x ${Math.round(height)}: ${where(element)}`);
  }

  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.a > 0.99) return color;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!hasText || !isSeen(element) || element.closest("svg, script, noscript, option") || element.matches(":disabled")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${where(element)}`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) found.push(`id twice: ${id}`);
  if (document.querySelectorAll("h1").length !== 1) found.push("not exactly one h1");
  if (!document.documentElement.lang) found.push("no language");
  if (document.querySelectorAll("main").length !== 1) found.push("not exactly one main");
  if (document.querySelector("[style]:not(meter i)") && [...document.querySelectorAll("[style]")].some((element) => !element.style.length)) found.push("a style attribute of markup");
  if (document.documentElement.scrollWidth > innerWidth + 1) found.push(`wider than the window: ${document.documentElement.scrollWidth}`);
  return found;
}
