"""What EC2 takes as names and descriptions of security groups and of their rules: `terraform validate` takes anything.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
"""

from __future__ import annotations

import re
from pathlib import Path

MAKES_THEM = re.compile(r'^resource "aws_(security_group|security_group_rule|vpc_security_group_\w+)"', re.M)
TAKEN = re.compile(r"[a-zA-Z0-9. _:/()#,@\[\]+=&;{}!$*-]{0,255}")


def are_taken(tree: Path) -> bool:
    """Whether all texts of files that make such groups could be descriptions there: most become some."""
    well = True
    for file in sorted(tree.rglob("*.tf")):
        hcl = file.read_text()
        if not MAKES_THEM.search(hcl):
            continue
        for text in texts(hcl):
            if not TAKEN.fullmatch(text):
                well = False
                where = file.relative_to(tree.parent)
                print(f"{where}: EC2 takes no such name or description of a security group: {text}")
    return well


def texts(hcl: str) -> list[str]:
    """Those in quotes, without comments and without what is put into them."""
    lines = [line for line in hcl.splitlines() if not line.lstrip().startswith("#")]
    return re.findall(r'"([^"\n]*)"', re.sub(r"\$\{[^}]*\}", "", "\n".join(lines)))
