"""A library's extractor over the rows of a JSONL file with `html` or `html_base64`, written as JSONL: ENGINE IN OUT."""

import base64
import json
import sys
from collections.abc import Callable

engine, source, target = sys.argv[1:]
extract: Callable[[str], str | None]
if engine == "trafilatura":
    import trafilatura

    extract = trafilatura.extract
else:
    from resiliparse.extract.html2text import extract_plain_text

    def extract(html: str) -> str:
        return extract_plain_text(html, main_content=True)


def main() -> None:
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with open(source, encoding="utf-8") as pages, open(target, "w", encoding="utf-8") as out:
        for line in pages:
            row = json.loads(line)
            if "html" in row:
                html = row["html"]
            else:
                raw = base64.b64decode(row["html_base64"])
                html = bytes_to_str(raw, detect_encoding(raw))
            out.write(json.dumps({"id": row["id"], "text": extract(html)}, ensure_ascii=False) + "\n")


main()
