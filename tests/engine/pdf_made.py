"""PDFs by the byte: small ones that are right, and ones that are not."""

import zlib


def pdf(*pages: str, **more: bytes) -> bytes:
    """A PDF with a line of ASCII text for each line of each page; `more` replaces the content of a page by number."""
    count = len(pages)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {count} /Kids [{' '.join(f'{4 + 2 * at} 0 R' for at in range(count))}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, page in enumerate(pages):
        lines = [f"({line}) Tj T*" for line in page.replace("(", "\\(").replace(")", "\\)").split("\n")]
        content = more.get(f"page{at + 1}") or f"BT /F1 12 Tf 14 TL 72 720 Td {' '.join(lines)} ET".encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * at} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(stream(content))
    return assembled(objects)


def stream(content: bytes, filters: str = "") -> bytes:
    return f"<< /Length {len(content)} {filters}>>\nstream\n".encode() + content + b"\nendstream"


def bomb(megabytes: int) -> bytes:
    """A PDF whose one page unpacks to so much."""
    packed = zlib.compress(b"BT (x) Tj ET " * (megabytes * 1_000_000 // 13), 9)
    return assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << >> >>",
            stream(packed, "/Filter /FlateDecode "),
        ]
    )


def assembled(objects: list[bytes]) -> bytes:
    """Objects, numbered from 1, as a file; the first is the catalogue."""
    data = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(
        f"{place:010d} 00000 n \n" for place in places
    )
    return (
        data + f"{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n".encode()
    )
