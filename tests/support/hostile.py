"""Texts that would become markup, script or a link wherever somebody forgot to escape them."""

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><svg/onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</pre></td></table><iframe srcdoc='<script>alert(1)</script>'>",
    '<a href="javascript:alert(1)">x</a>',
    "{{ 7 * 7 }}{% raw %}<b>x</b>",
    "&lt;script&gt;&#60;img src=x onerror=alert(1)&#62;",
    "<!--><svg><style><img src=x onerror=alert(1)>",
    "`<code onclick=alert(1)>`",
    "\u2028<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
)
