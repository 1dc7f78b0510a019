"""The table of `changan bench ledger` that says where the node's time goes, in the reader's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from changan.bench.stages import NOTES, REST
from changan.cli.language import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHINESE = {
    "authenticate": "验证身份",
    "execute": "执行",
    "roots": "区块内的根",
    "state root": "状态根",
    "log": "日志",
    "index": "索引",
    "checkpoint": "检查点",
    "histories": "历史",
    REST: "其余",
    NOTES["authenticate"]: "签名：由批量内核验证一条同样的消息，由其下的调用分摊",
    NOTES["execute"]: "内存：一次调用写入日志的字节复制一遍",
    NOTES["roots"]: "散列：一次调用写入日志的字节用链的散列算法计算一遍",
    NOTES["log"]: "磁盘：顺序写入一个区块大小的字节并落盘；应与含等待的时间相比",
}


def show_stages(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row a stage: nanoseconds a call of CPU time and with what it waited for, and the limit where there is one."""
    head = say("stage|CPU-ns/call|with waiting|limit, ns|limit", "阶段|CPU 纳秒/次|含等待|极限，纳秒|极限")
    click.echo()
    click.echo(_line(head.split("|")))
    for row in rows:
        numbers = ["" if row[key] is None else f"{row[key]:.1f}" for key in ("cpu_ns", "elapsed_ns", "limit_ns")]
        click.echo(_line([_said(row["stage"]), *numbers, _said(row["limit"])]))


def _said(text: str) -> str:
    return say(text, CHINESE.get(text, text))


def _line(cells: Sequence[str]) -> str:
    stage, cpu, elapsed, limit, what = cells
    return f"{stage:<13} {cpu:>12} {elapsed:>13} {limit:>10}  {what}".rstrip()
