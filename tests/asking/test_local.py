"""A model folder that answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curate.errors import InputError
from curate.models.ask import Answer, Ask, Failed
from curate.models.asker import Asker
from curate.models.cache import Cache
from curate.models.limits import Stopped
from curate.models.local import LocalBackend
from tests.asking.tiny_model import CONTEXT, tiny_model


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Of torch: more only get in each other's way with so small a model."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(asks: list[Ask], cache: Cache | None = None, folder: Path | None = None, rows: int = 16) -> list[Answer | Failed]:
    with Asker(LocalBackend(folder or tiny_model(), rows=rows, device="cpu"), cache) as asker:
        found = dict(asker.answers(asks))
    return [found[number] for number in range(len(asks))]


def question(text: str = "hello", **more: Any) -> Ask:
    return Ask("", **{"messages": ({"role": "user", "content": text},), "max_tokens": 30, "may_be_cut": True, **more})


def mixed() -> list[Ask]:
    """Requests of many lengths and settings."""
    return [
        question(
            "hello " * (1 + i % 5),
            temperature=0.0 if i % 3 == 0 else 0.5 + i / 20,
            top_p=0.9 if i % 2 else 1.0,
            max_tokens=5 + i,
            stop=("e", "zz") if i % 4 == 0 else (),
        )
        for i in range(14)
    ]


def test_answers_do_not_depend_on_what_is_in_the_batch() -> None:
    once = run(mixed())
    assert all(isinstance(answer, Answer) for answer in once)
    assert run(mixed(), rows=1) == once
    assert run(mixed()[::-1], rows=7)[::-1] == once


def scarce(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let the model run out of memory with more rows than `most`; the sizes of batches that are tried."""
    import torch
    from transformers import LlamaForCausalLM

    tried: list[int] = []
    generate = LlamaForCausalLM.generate

    def within(self: Any, ids: torch.Tensor, **more: Any) -> Any:
        tried.append(len(ids))
        if len(ids) > most:
            raise torch.OutOfMemoryError(f"tried to allocate {len(ids)} GiB\nmore lines")
        return generate(self, ids, **more)

    monkeypatch.setattr(LlamaForCausalLM, "generate", within)
    return tried


def test_batches_are_halved_until_they_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = [question(f"{i:03}", max_tokens=4) for i in range(40)]
    whole = run(asks, rows=16)
    tried = scarce(monkeypatch, 5)
    assert run(asks, rows=16) == whole
    # What has failed is not tried again: later batches are as small as what fitted.
    large = [size for size in tried if size > 5]
    assert large
    assert max(large) == 16
    assert tried.index(max(large)) < 2
    assert max(tried[len(tried) // 2 :]) <= 5


def test_a_request_that_does_not_fit_the_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scarce(monkeypatch, 0)
    for result in run([question("a"), question("b")]):
        assert isinstance(result, Failed)
        assert (result.kind, "\n" in result.message) == ("too_long", False)
        assert "does not fit the memory of the device (tried to allocate 1 GiB)" in result.message


def test_samples_and_seeds_differ_and_stay() -> None:
    asks = [question(sample=0), question(sample=1), question(seed=1), question(seed=2), question(temperature=0.0, sample=3)]
    texts = [answer.text for answer in run(asks) if isinstance(answer, Answer)]
    assert len(set(texts)) == 5
    assert [answer.text for answer in run(asks) if isinstance(answer, Answer)] == texts


def test_temperature_0_takes_the_likeliest_as_transformers_does() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model()
    (answer,) = run([Ask("", prompt="some raw words", temperature=0.0, max_tokens=20, may_be_cut=True)])
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("some raw words", return_tensors="pt")["input_ids"]
    made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20)[0, ids.shape[1] :]
    assert isinstance(answer, Answer)
    assert answer.text == tokenizer.decode(made, skip_special_tokens=True)
    assert answer.prompt_tokens == ids.shape[1]


def test_draws_have_the_shares_of_the_model() -> None:
    """First tokens of 600 draws against softmax, and against its nucleus."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model())
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model())
    with torch.no_grad():
        scores = model(torch.tensor([tokenizer("q")["input_ids"]])).logits[0, -1]
    shares = torch.softmax(scores.double() / 0.7, -1)
    top = shares.sort(descending=True)
    inside = int((top.values.cumsum(0) - top.values < 0.5).sum())
    nucleus = {tokenizer.decode([id], skip_special_tokens=True) for id in top.indices[:inside].tolist()}
    likeliest = tokenizer.decode([int(top.indices[0])], skip_special_tokens=True)
    plain = [Ask("", prompt="q", temperature=0.7, max_tokens=1, sample=i, may_be_cut=True) for i in range(600)]
    drawn, near = (
        # White space alone is a failure of its own, with what it was.
        [result.text if isinstance(result, Answer) else result.raw for result in run(asks, rows=600)]
        for asks in (plain, [replace(ask, top_p=0.5) for ask in plain])
    )
    for found, share in ((drawn, shares), (near, shares / top.values[:inside].sum())):
        expected = 600 * float(share[top.indices[0]])
        assert abs(found.count(likeliest) - expected) < 4 * expected**0.5
    assert set(near) <= nucleus
    assert len(set(drawn)) > len(set(near)) > 1


def test_where_answers_end() -> None:
    raw = Ask("", prompt="go", temperature=0.0, max_tokens=30, may_be_cut=True)
    (whole,) = run([raw])
    assert isinstance(whole, Answer)
    assert whole.finish == ("length" if whole.completion_tokens == 30 else "stop")
    place = next(i for i, letter in enumerate(whole.text) if whole.text[:i].strip() and letter not in whole.text[:i])
    stopped, other = run([replace(raw, stop=(whole.text[place],)), replace(raw, stop=("never there",))])
    assert isinstance(stopped, Answer)
    assert (stopped.text, stopped.finish) == (whole.text[:place], "stop")
    assert other == whole


def test_an_answer_cut_by_its_length_is_a_failure() -> None:
    (failed,) = run([question(max_tokens=2, may_be_cut=False)])
    assert isinstance(failed, Failed)
    assert failed.kind == "cut"


def test_what_does_not_fit_the_context() -> None:
    near, beyond = run([Ask("", prompt="x" * (CONTEXT - 3), may_be_cut=True), Ask("", prompt="x" * CONTEXT)])
    assert isinstance(near, Answer)
    assert near.completion_tokens is not None
    assert near.completion_tokens <= 3
    assert isinstance(beyond, Failed)
    assert beyond.kind == "too_long"
    assert "256" in beyond.message


def test_chats_that_the_template_refuses() -> None:
    refused, good = run([question(messages=({"role": "tool", "content": "x"},)), question()])
    assert isinstance(refused, Failed)
    assert refused.kind == "wrong_request"
    assert "no tools here" in refused.message
    assert isinstance(good, Answer)


def test_a_model_without_a_chat_template_takes_raw_prompts_alone() -> None:
    folder = tiny_model(chat=False)
    (raw,) = run([Ask("", prompt="x", max_tokens=3, may_be_cut=True)], folder=folder)
    assert isinstance(raw, Answer)
    with pytest.raises(Stopped, match="has no chat template"):
        run([question()], folder=folder)


def test_a_model_keeps_its_cache_wherever_it_lies(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers.sqlite")
    run([question()], cache)
    moved = shutil.copytree(tiny_model(), tmp_path / "moved")
    (again,) = run([question()], cache, moved)
    assert isinstance(again, Answer)
    assert again.cached
    (other,) = run([question()], cache, tiny_model(seed=1))
    assert isinstance(other, Answer)
    assert not other.cached


def test_leaving_off_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = scarce(monkeypatch, 1000)
    asker = Asker(LocalBackend(tiny_model(), device="cpu"))
    answers = asker.answers(question(max_tokens=240, seed=i, temperature=2.0) for i in range(1000))
    next(answers)
    answers.close()
    asker.close()
    assert 0 < sum(begun) < 500, "rows of the thousand that the model was given"


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        LocalBackend(tmp_path / "none")
    broken = shutil.copytree(tiny_model(), tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be loaded"):
        run([question()], folder=broken)
