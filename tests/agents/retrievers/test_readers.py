"""What each kind of file says, where it says it, and what is told of a file that cannot be read."""

from pathlib import Path

import pytest

from agents.retrievers.collecting import collect
from agents.retrievers.documents import UnreadableDocument
from agents.retrievers.html import read_html
from agents.retrievers.readers import markdown_document, read_document

CORPUS = Path(__file__).parents[3] / "examples" / "corpus"


def blocks(document) -> list[tuple[str, tuple[str, ...]]]:
    return [(document.text[block.start : block.end], block.headings) for block in document.blocks]


def test_markdown_blocks_stand_below_their_headings():
    text = "intro\n\n# Guide to `x`\n\nfirst\nline\n\n## [Deep](http://a)\n\n"
    text += "```py\n# no heading\n\ny = 1\n```\n\n# Other\n- a\n- b\n"
    assert blocks(markdown_document(text, "a.md")) == [
        ("intro", ()),
        ("first\nline", ("Guide to x",)),
        ("```py\n# no heading\n\ny = 1\n```", ("Guide to x", "Deep")),
        ("- a\n- b", ("Other",)),
    ]


def test_html_gives_what_a_reader_sees():
    page = """<!DOCTYPE html><html><head><title>A  page</title><style>p{}</style></head><body>
    <nav>Home</nav><h1>Ferries &amp; <em>boats</em></h1><!-- hidden --><p>At <b>nine</b>.<br>Daily.</p>
    loose <i>text</i><div><h2>Prices</h2><table><tr><td>adult</td><td>12</td></tr></table>
    <ul><li>one<ul><li>deeper</li></ul></li></ul><pre>a
      b</pre></div><script>x()</script></body></html>"""
    document = read_html(page, "a.html")
    assert document.metadata == {"format": "html", "title": "A page"}
    assert blocks(document) == [
        ("At nine. Daily.", ("Ferries & boats",)),
        ("loose text", ("Ferries & boats",)),
        ("adult 12", ("Ferries & boats", "Prices")),
        ("one", ("Ferries & boats", "Prices")),
        ("deeper", ("Ferries & boats", "Prices")),
        ("a\n      b", ("Ferries & boats", "Prices")),
    ]


def test_a_link_around_a_block_hides_nothing():
    assert blocks(read_html("<a href='x'><div>inside</div></a>after", "a.html")) == [
        ("inside", ()),
        ("after", ()),
    ]


def test_a_pdf_gives_its_pages_and_title():
    document = read_document(CORPUS / "anyio" / "why.pdf", "why.pdf")
    pages = [block.page for block in document.blocks]
    assert pages == sorted(pages)
    assert pages[0] == 1
    assert pages[-1] > 3
    assert "task groups" in document.text
    assert document.metadata["title"]


def test_a_byte_order_mark_and_windows_line_ends_are_not_text(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\r\nthree")
    assert blocks(read_document(file)) == [("one\ntwo", ()), ("three", ())]


@pytest.mark.parametrize(
    ("name", "content", "fault", "words"),
    [
        ("a.txt", b"caf\xe9", "not_utf8", "byte 3"),
        ("a.md", b"\xff\xfe", "not_utf8", "byte 0"),
        ("a.html", b"<p>\xff</p>", "not_utf8", "byte 3"),
        ("a.txt", b" \n\t\n", "empty", "no text"),
        ("a.md", b"# only a heading\n", "empty", "no text"),
        ("a.html", b"<script>x()</script>", "empty", "no text"),
        ("a.docx", b"PK", "unknown_suffix", ".pdf"),
        ("a", b"text", "unknown_suffix", "''"),
        ("a.pdf", b"not a PDF at all", "damaged", "cannot be read"),
        ("a.pdf", b"", "damaged", "cannot be read"),
        ("a.pdf", b"%PDF-1.7\n1 0 obj\n<<", "damaged", "cannot be read"),
    ],
)
def test_a_bad_file_is_told_apart(tmp_path, name, content, fault, words):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UnreadableDocument, match=words) as caught:
        read_document(file)
    assert caught.value.fault == fault
    assert caught.value.path == file


def test_a_pdf_with_a_password_is_told_apart(tmp_path):
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=CORPUS / "anyio" / "why.pdf")
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(UnreadableDocument) as caught:
        read_document(tmp_path / "locked.pdf")
    assert caught.value.fault == "encrypted"


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "good.txt").write_text("fine")
    (tmp_path / "sub" / "good.md").write_text("fine too")
    (tmp_path / "sub" / "bad.txt").write_bytes(b"\xff")
    (tmp_path / "LICENSE").write_text("not a document")
    (tmp_path / ".hidden.txt").write_text("not for us")
    found = collect([tmp_path, tmp_path / "nowhere.txt"])
    assert [(d.source, d.metadata.get("folder")) for d in found.documents] == [
        ("good.txt", None),
        ("sub/good.md", "sub"),
    ]
    assert [problem.fault for problem in found.problems] == ["not_utf8", "missing"]


def test_two_files_of_the_same_source_are_a_problem(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.txt").write_text(folder)
    found = collect([tmp_path / "a", tmp_path / "b"])
    assert len(found.documents) == 1
    assert [problem.fault for problem in found.problems] == ["duplicate_source"]
