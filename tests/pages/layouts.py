# ruff: noqa: E501  (pages are easier to read in whole lines)
"""Pages written for the tests, in the layouts that the web has, with what their main text must hold and must not."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LAYOUTS", "Layout"]


class Layout(NamedTuple):
    """A page; segments of its main text; segments of everything else."""

    html: str
    main: list[str]
    rest: list[str]


RIVER = [
    "A river rises where rain and melting snow gather, and it runs downhill until it meets a lake, the sea, or drier ground.",
    "Its bed is cut over thousands of years; where the rock is soft the valley widens, and where it is hard the water falls.",
    "Towns were built beside rivers because boats could reach them, because mills could turn there, and because fields were wet.",
    "In dry summers the flow may stop altogether, and people cross on foot where in March they would have needed a ferry.",
]
BREAD = [
    "Mix the flour with the water and leave it to stand for half an hour, so that the dough will stretch without tearing.",
    "Add the salt and the yeast, fold the dough four times in two hours, and keep it covered between the folds.",
    "Shape it gently; a loaf that is pressed flat at this point will not rise again, whatever the oven does.",
    "Bake it dark, on a stone if there is one, and let it cool for an hour before the first slice is cut.",
]
GERMAN = [
    "Der alte Bahnhof am Rand der Stadt steht seit zwanzig Jahren leer, doch im Frühjahr soll dort ein Theater einziehen.",
    "Die Gemeinde hat das Gebäude für einen Euro gekauft, muss aber das Dach erneuern, was nach Schätzungen viel teurer wird.",
    "„Wir fangen mit einer kleinen Bühne an“, sagt die Leiterin, „und wenn die Leute kommen, bauen wir weiter.“",
]
RUSSIAN = [
    "Зимой озеро замерзает полностью, и рыбаки выходят на лёд ещё до рассвета, хотя прогноз обещает сильный ветер.",
    "Старики говорят, что раньше лёд держался до мая, а теперь уже в марте ходить по нему опасно.",
    "Учёные измеряют толщину льда каждую неделю и публикуют таблицы, по которым школьники строят графики.",
]
JAPANESE = [
    "この町の図書館は、古い酒蔵を改装して作られました。太い梁がそのまま残り、冬でも木の香りがします。",
    "休日には子どもたちが集まり、紙芝居を見たり、近所のお年寄りから昔の話を聞いたりしています。",
    "来年は二階に小さな展示室ができる予定で、地元の写真家の作品が並ぶそうです。",
]
ARABIC = [
    "تقع القرية القديمة على سفح الجبل، وكانت بيوتها تبنى من الحجر والطين، ولا يزال بعضها قائما إلى اليوم.",
    "يزورها الناس في الربيع، حين تزهر الأشجار، ويشربون القهوة مع أهلها، ثم يعودون إلى المدينة قبل المساء.",
]
NAV = "<ul><li><a href=/>Home</a><li><a href=/news>News</a><li><a href=/sport>Sport</a><li><a href=/about>About us</a></ul>"
FOOT = (
    "<p>Copyright 2024 The Daily Example. All rights reserved.</p><a href=/terms>Terms of use</a> <a href=/privacy>Privacy</a>"
)
COOKIES = "<p>We use cookies to improve your experience on our site. By going on you agree to our use of cookies, as the policy says.</p>"
REMARK = [
    "I walked there last year and it was colder than they say, bring a second coat.",
    "First! Also, the map is wrong, the bridge was closed in 2011 and nobody opened it again.",
]


def paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{text}</p>\n" for text in texts)


def teasers(number: int = 5) -> str:
    return "".join(
        f"<div class=card><a href=/t{k}><img src={k}.jpg><h3>Teaser number {k} of the day</h3></a><p>Short words on topic {k} ...</p></div>"
        for k in range(number)
    )


def page(body: str, head: str = "", attributes: str = "") -> str:
    return f"<!DOCTYPE html><html {attributes}><head><meta charset=utf-8><title>Example</title>{head}</head><body>{body}</body></html>"


def remarks(tag: str = "div") -> str:
    return "".join(
        f"<{tag} class=comment><b>User{k}</b> <span>3 May, 10:1{k}</span><p>{text}</p></{tag}>" for k, text in enumerate(REMARK)
    )


ASIDE = "<h4>Most read</h4><ol><li><a href=/1>Seven hills and a lake</a></li><li><a href=/2>What the mayor said</a></li></ol>"
SPLIT = "<br><br>".join(RIVER)
ROWS = "".join(f"<tr><td>{year}</td><td>{year % 7 * 131} km</td><td>{year % 5} m</td></tr>" for year in range(2001, 2012))
CODE = "def flow(bed):\n    for stone in bed:\n        yield stone.wet\n"

LAYOUTS: dict[str, Layout] = {
    "news, semantic": Layout(
        page(f"<header>{NAV}</header><main><article><h1>How rivers run</h1>{paragraphs(RIVER)}</article><aside>{ASIDE}</aside></main>"
             f"<footer>{FOOT}</footer>"),
        RIVER, ["About us", "What the mayor said", "All rights reserved"],
    ),
    "news, divs and classes": Layout(
        page(f"<div class=topbar>{NAV}</div><div class=wrapper><div class=col-main><h1>How rivers run</h1><div class=article-body>"
             f"{paragraphs(RIVER)}</div><div class=related-articles><h3>Related</h3>{teasers()}</div></div>"
             f"<div class=sidebar>{ASIDE}</div></div><div id=footer>{FOOT}</div>"),
        RIVER, ["Teaser number 3", "What the mayor said", "Terms of use"],
    ),
    "divs without names": Layout(
        page(f"<div>{NAV}</div><div><div><h1>How rivers run</h1>{paragraphs(RIVER)}</div><div>{ASIDE}</div></div><div>{FOOT}</div>"),
        RIVER, ["About us", "What the mayor said", "Terms of use"],
    ),
    "layout tables": Layout(
        page(f"<table><tr><td colspan=2><a href=/>Home</a> | <a href=/a>Archive</a> | <a href=/l>Links</a></td></tr><tr><td width=150>"
             f"<a href=/1>Seven hills</a><br><a href=/2>The mayor</a><br><a href=/3>Guest book</a></td><td><h2>Rivers</h2>"
             f"{paragraphs(RIVER)}</td></tr><tr><td colspan=2><font size=1>Last change: May 2003. Made with an editor.</font></td></tr></table>"),
        RIVER, ["Archive", "Guest book"],
    ),
    "lines broken by br": Layout(
        page(f"<div id=nav>{NAV}</div><div id=content><b>Rivers</b><br><br>{SPLIT}<br></div><div id=foot>{FOOT}</div>"),
        RIVER, ["About us", "Terms of use"],
    ),
    "blog with comments": Layout(
        page(f"<div id=header><h1><a href=/>My small blog</a></h1></div><div id=content><div class='post hentry'><h2>Bread</h2>"
             f"<small>12 May by Ann</small><div class=entry>{paragraphs(BREAD)}</div><p class=postmetadata>Posted in "
             f"<a href=/c>Food</a> | <a href=#c>2 comments</a></p></div><div id=comments><h3>2 responses</h3>{remarks()}</div></div>"
             f"<div id=sidebar>{ASIDE}</div>"),
        BREAD, [*REMARK, "What the mayor said", "2 responses"],
    ),
    "many comments, short article": Layout(
        page(f"<main><article><h1>Bread</h1>{paragraphs(BREAD)}</article><section class=comments>{remarks('article') * 12}</section></main>"),
        BREAD, REMARK,
    ),
    "comments in a list": Layout(
        page(f"<div id=main><h1>Rivers</h1>{paragraphs(RIVER)}<ol class=commentlist>{remarks('li') * 4}</ol></div>"), RIVER, REMARK,
    ),
    "recipe with lists": Layout(
        page(f"<nav>{NAV}</nav><main><h1>A loaf</h1><p>{BREAD[0]}</p><h2>You need</h2><ul><li>500 g of flour<li>350 g of water<li>10 g of salt"
             f"</ul><h2>Method</h2><ol>{''.join(f'<li>{text}</li>' for text in BREAD[1:])}</ol></main><footer>{FOOT}</footer>"),
        [*BREAD, "350 g of water"], ["About us", "Terms of use"],
    ),
    "documentation with code": Layout(
        page(f"<div class=sidebar-nav>{NAV}<ul>{''.join(f'<li><a href={k}>Chapter {k} of the guide</a>' for k in range(20))}</ul></div>"
             f"<div class=document><h1>Flow</h1><p>{RIVER[0]}</p><pre>{CODE}</pre><p>{RIVER[1]}</p><h2>More</h2><p>{RIVER[2]}</p>"
             "<div class=pager><a href=/p>Previous page</a> <a href=/n>Next page</a></div></div>"),
        [*RIVER[:3], "        yield stone.wet"], ["Chapter 7", "Next page"],
    ),
    "table of data": Layout(
        page(f"<nav>{NAV}</nav><main><h1>Levels</h1><p>{RIVER[0]}</p><table class=data><tr><th>Year<th>Length<th>Level</tr>{ROWS}</table>"
             f"<p>{RIVER[1]}</p></main><footer>{FOOT}</footer>"),
        [RIVER[0], RIVER[1], "2004\t"], ["About us", "Terms of use"],
    ),
    "encyclopedia": Layout(
        page(f"<div id=mw-head>{NAV}</div><div id=content><h1>River</h1><div id=mw-content-text><div id=toc><ul><li><a href=#a>1 Source"
             f"</a><li><a href=#b>2 Mouth</a></ul></div><p>{RIVER[0]}<sup><a href=#1>[1]</a></sup></p><h2>Source</h2><p>{RIVER[1]}</p>"
             f"<h2>Mouth</h2><p>{RIVER[2]} {RIVER[3]}</p></div></div><div id=mw-panel>{NAV}</div><div id=footer>{FOOT}</div>"),
        RIVER, ["About us", "Terms of use"],
    ),
    "cookie banner first": Layout(
        page(f"<div id=cookie-banner class=consent>{COOKIES}<button>Accept all</button></div><nav>{NAV}</nav><article><h1>Bread</h1>"
             f"{paragraphs(BREAD)}</article>"),
        BREAD, ["improve your experience", "Accept all"],
    ),
    "newsletter in the middle": Layout(
        page(f"<article><h1>Bread</h1>{paragraphs(BREAD[:2])}<div class=newsletter-signup><h4>Stay in touch</h4><form><label>Your e-mail"
             f"</label><input><button>Subscribe</button></form></div>{paragraphs(BREAD[2:])}</article>"),
        BREAD, ["Your e-mail", "Subscribe"],
    ),
    "share and tags": Layout(
        page(f"<article><h1>Bread</h1><ul class=share><li><a href=f>Facebook</a><li><a href=t>Twitter</a></ul>{paragraphs(BREAD)}"
             "<div class=tags>Tags: <a href=/1>dough</a>, <a href=/2>oven</a></div></article>"),
        BREAD, ["Facebook", "dough</a>", "Twitter"],
    ),
    "short notice": Layout(
        page(f"<header>{NAV}</header><main><h1>Closed</h1><p>The library stays closed on Monday, as the boiler is being repaired.</p></main>"
             f"<footer>{FOOT}</footer>"),
        ["The library stays closed on Monday"], ["About us"],
    ),
    "product": Layout(
        page(f"<nav>{NAV}</nav><div class=product><h1>Stone for ovens</h1><span class=price>39.90</span><button>Add to cart</button>"
             f"<div class=description><p>{BREAD[3]}</p><ul><li>Size: 38 x 30 cm, 2 cm thick<li>Weight: 4 kg</ul></div></div>"
             f"<div class=cross-selling><h3>Others bought</h3>{teasers()}</div><footer>{FOOT}</footer>"),
        [BREAD[3], "Weight: 4 kg"], ["Teaser number 2", "Terms of use"],
    ),
    "forum": Layout(
        page(f"<div class=navbar>{NAV}</div><h1>River levels?</h1>" + "".join(
            f"<div class=post><div class=author><a href=/u{k}>member{k}</a></div><div class=post-content><p>{text}</p></div></div>"
            for k, text in enumerate(RIVER)) + f"<div class=footer>{FOOT}</div>"),
        RIVER, ["About us", "Terms of use"],
    ),
    "German, teasers above": Layout(
        page(f"<div class=teaserliste>{teasers(8)}</div><div class=artikel><h1>Ein Theater</h1>{paragraphs(GERMAN)}</div>"
             "<div class=fuss><a href=/i>Impressum</a> <a href=/d>Datenschutz</a></div>", attributes="lang=de"),
        GERMAN, ["Teaser number 4", "Datenschutz"],
    ),
    "Russian": Layout(
        page(f"<div class=menu><a href=/>Главная</a> <a href=/n>Новости</a></div><div class=text><h1>Лёд</h1>{paragraphs(RUSSIAN)}</div>"
             "<div class=footer>Все права защищены</div>"),
        RUSSIAN, ["Новости", "защищены"],
    ),
    "Japanese": Layout(
        page(f"<div class=gnav><a href=/>ホーム</a><a href=/n>お知らせ</a></div><div class=entry><h1>図書館</h1>{paragraphs(JAPANESE)}</div>"
             "<div class=footer>無断転載を禁じます</div>"),
        JAPANESE, ["お知らせ", "無断転載"],
    ),
    "Arabic": Layout(
        page(f"<nav><a href=/>الرئيسية</a> <a href=/n>أخبار</a></nav><article dir=rtl><h1>القرية</h1>{paragraphs(ARABIC)}</article>"
             "<footer>جميع الحقوق محفوظة</footer>", attributes="lang=ar"),
        ARABIC, ["الرئيسية", "محفوظة"],
    ),
    "tags in capitals, nothing closed": Layout(
        f"<HTML><BODY><TABLE><TR><TD><A HREF=/>Home<TD><A HREF=/a>Archive</TABLE><H1>Rivers</H1><P>{'<P>'.join(RIVER)}<HR><A HREF=/t>Terms</A>",
        RIVER, ["Archive"],
    ),
    "text in a form": Layout(
        page(f"<form id=aspnetForm><div id=top>{NAV}</div><div id=main><h1>Bread</h1>{paragraphs(BREAD)}</div><div id=bottom>{FOOT}</div></form>"),
        BREAD, ["About us", "Terms of use"],
    ),
}  # fmt: skip
