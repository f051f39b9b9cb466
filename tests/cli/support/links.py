#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the links of Markdown files that lead nowhere: links.py FILE..."""
import os
import re
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def without_code(text):
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)


def anchors(path):
    """As the sites that show Markdown make them of headings."""
    with open(path) as f:
        heads = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", f.read(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in heads}


for page in sys.argv[1:]:
    with open(page) as f:
        links = LINK.findall(without_code(f.read()))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = os.path.join(os.path.dirname(page), path) if path else page
        if not os.path.exists(target):
            print(f"{page}: {link}: no such file")
        elif anchor and target.endswith(".md") and anchor not in anchors(target):
            print(f"{page}: {link}: no such heading")
