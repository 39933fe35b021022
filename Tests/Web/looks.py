"""What every page must keep to: contrast, widths, names for those who do not see it."""

# WCAG contrast of every visible text, against the nearest painted ground: [text, ratio] of the worst ten.
CONTRAST = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const found = [];
  const add = (label, color, under) => { const [a, b] = [light(parse(color)), light(ground(under))].sort((x, y) => y - x);
    found.push([label, (a + 0.05) / (b + 0.05)]); };
  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    if ((text || e.value) && e.getClientRects().length) add(text || e.value, getComputedStyle(e).color, e);
    if (e.placeholder) add(e.placeholder, getComputedStyle(e, '::placeholder').color, e);
  }
  return found.sort((x, y) => x[1] - y[1]).slice(0, 10);
})()"""

# Controls and graphics without a name, images without a description, headings that skip a level.
NAMELESS = """(() => {
  const found = [];
  const named = e => (e.ariaLabel || e.innerText || e.title || '').trim() || e.labels?.length || e.getAttribute('aria-labelledby');
  for (const e of document.querySelectorAll('button, a[href], input, select, textarea, [role=img], [role=region]'))
    if (!named(e)) found.push(e.outerHTML.slice(0, 80));
  let last = 0;
  for (const e of document.querySelectorAll('h1, h2, h3')) {
    const level = Number(e.tagName[1]);
    if (level > last + 1) found.push('skipped to ' + e.outerHTML.slice(0, 60));
    last = level;
  }
  if (document.documentElement.lang === '') found.push('no language');
  if (document.querySelectorAll('main').length !== 1) found.push('not one main');
  return found;
})()"""


def cut_off(page):
    """What hangs over the window's edge. What lies in a box that scrolls by itself does not."""
    return page.evaluate("""[...document.querySelectorAll('button, input, select, textarea, dd, dt, h2, h3, p')].filter(e => {
        const r = e.getBoundingClientRect(); return r.left < -1 || r.right > innerWidth + 1; }).map(e => e.id || e.textContent)""")


def reached_by_tab(page, most=40):
    """Ids, classes or names of what Tab comes to, in order."""
    page.evaluate("document.activeElement?.blur()")
    names = []
    for _ in range(most):
        for kind in ["keyDown", "keyUp"]:
            page.command("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        name = page.evaluate("(e => e.id || e.className || e.textContent.trim())(document.activeElement)")
        if names and name == names[0] or page.evaluate("document.activeElement === document.body"):
            break
        names.append(name)
    return names
