#!/usr/bin/env python3
"""Writes a page of all that is public, by subject, with one sentence each: functions.py HEADER ...

A header is a subject, which the first words of its first comment name. What follows a comment of /// is an entry, whose
sentence is the comment's first. Members of classes are entries too; namespaces called detail are left out. The headers
come in the order of the README's table.
"""
import re
import sys

DETAIL = re.compile(r"^namespace detail \{.*?^\}  // namespace detail$", re.M | re.S)
PART = re.compile(r"""
  ^namespace\ (?P<namespace>\S+)\ \{
  | ^\}\ \ //\ (?P<end>namespace)
  | ^(?P<kind>class|struct)\ (?:XTAPE_EXPORT\ )?(?P<type>\w+)\b[^;{]*\{
  | ^\ (?P<access>public|protected|private):
  | (?P<comment>(?:^(?P<indent>|\ \ )///.*\n)+)(?P<declaration>[^;{]*)""", re.M | re.X)
NAME = re.compile(r"""
  ^\ *(?:class|struct|enum\ class|concept|using)\ (?:XTAPE_EXPORT\ )?(\w+)
  | XTAPE_\w+\((\w+)
  | (?<=[\s&*])(operator(?:\(\)|\ *[^\s(]+)|(?!requires)\w+)\(
  | ^inline\ constexpr\ .*?(\w+)\ =""", re.M | re.X)


def sentence(comment):
    """The first of a comment of // or ///, without its stop; a long one ends at a colon or semicolon."""
    text = re.sub(r"^ *//+ ?", "", comment, flags=re.M)
    text = re.split(r"\.\s|[:,]?\n(?:\n|  )", text)[0]  # before what stands by itself, too
    text = " ".join(text.split())
    return text if len(text) < 180 else text[: max(text.rfind(stop, 0, 180) for stop in ":;")]


def entries(text):
    """(qualified name, sentence) for each declaration with a comment, in the header's order."""
    text, namespace, type_name, access, position = DETAIL.sub("", text), "", "", "", 0
    while part := PART.search(text, position):
        position = part.end("comment") if part["comment"] else part.end()
        if part["namespace"] or part["end"]:
            namespace = part["namespace"] or ""
        elif part["type"]:
            type_name, access = part["type"], "public" if part["kind"] == "struct" else "private"
        elif part["access"]:
            access = part["access"]
        elif namespace and (name := NAME.search(part["declaration"])):
            name = name[name.lastindex]
            if not part["indent"]:
                yield f"{namespace}::{name}", sentence(part["comment"])
            elif access == "public" and name != type_name:
                yield f"{namespace}::{type_name}::{name}", sentence(part["comment"])


def main():
    with open("README.md", encoding="utf-8") as file:
        readme = file.read()

    def order(path):
        place = readme.find(f"`{path.removeprefix('autodiff/')}`")
        return path.split("/")[0], place if place >= 0 else len(readme)

    print("# Functions by subject {#by_subject}\n\n[TOC]")
    for path in sorted(sys.argv[1:], key=order):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        rows = {}
        for name, brief in entries(text):
            rows.setdefault(name, brief)  # the first of several overloads speaks for all
        if rows:
            title = re.split("[,:]", sentence(re.match(r"(?://.*\n)+", text)[0]))[0]
            print(f"\n## {title} {{#{re.sub(r'[/.]', '_', path)}}}\n\n`<{path}>`\n\n| name | what it does |\n|:---|:---|")
        for name, brief in rows.items():
            shown = name.removeprefix("xtape::")
            link = f"`{shown}`" if "operator" in shown else f'@ref {name} "{shown}"'
            print(f"| {link} | {brief.replace('|', chr(92) + '|').replace('<', '&lt;')} |")


main()
