"""Modified Kneser-Ney smoothing in plain Python, from the formulas of Chen and Goodman 1998, section 3."""

from __future__ import annotations

from collections import Counter, defaultdict

Gram = tuple[str, ...]


class KneserNey:
    """p(word | context) of sentences; words not among `known`, or that come once, are `<unk>`, which `unknown` words share."""

    def __init__(self, lines: list[list[str]], order: int, least: list[int], known: set[str] | None = None) -> None:
        often = Counter(word for line in lines for word in line)
        self.words = {word for word, count in often.items() if count > 1 and (known is None or word in known)}
        self.unknown = max(len(often) - len(self.words), 1)
        self.order = order
        marked = [["<s>", *(w if w in self.words else "<unk>" for w in line), "</s>"] for line in lines]
        self.raw: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        for line in marked:
            for n in range(1, order + 1):
                self.raw[n].update(tuple(line[i : i + n]) for i in range(len(line) - n + 1) if i + n > 1)
        self.counts = [Counter[Gram]() for _ in range(order)] + [self.raw[order]]
        for n in range(1, order):
            before = defaultdict(set)
            for gram in self.raw[n + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[n] = Counter({g: c if g[0] == "<s>" else len(before[g]) for g, c in self.raw[n].items()})
        self.kept = [{g for g in self.raw[n] if self.raw[n][g] >= ([1, *least])[n]} for n in range(order + 1)]
        self.discounts = [self._discounts(Counter(counts.values())) for counts in self.counts]

    @staticmethod
    def _discounts(n: Counter[int]) -> list[float]:
        if min(n[1], n[2], n[3], n[4]) > 0:
            y = n[1] / (n[1] + 2 * n[2])
            found = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
            if all(0 < d <= i for i, d in enumerate(found[1:], 1)):
                return found
        return [0, 0.5, 1, 1.5]

    def p(self, word: str, context: Gram) -> float:
        """Of a known word, `<unk>` (as one) or `</s>` after at most order - 1 words."""
        n = len(context) + 1
        if n > self.order:
            return self.p(word, context[1:])
        lower = self.p(word, context[1:]) if context else 1 / (len(self.words) + 2)
        following = [g for g in self.counts[n] if g[:-1] == context]
        total = sum(self.counts[n][g] for g in following)
        if not total or (n > 1 and n > 2 and context not in self.kept[n - 1]):
            return lower
        discount = {g: self.discounts[n][min(self.counts[n][g], 3)] for g in following}
        left = sum(discount[g] if g in self.kept[n] else self.counts[n][g] for g in following)
        gram = (*context, word)
        own = self.counts[n][gram] - discount[gram] if gram in self.kept[n] else 0.0
        return (own + left * lower) / total
