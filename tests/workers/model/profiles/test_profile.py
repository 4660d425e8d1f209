"""Profiles of models: shipped ones are valid, and each fault of a site's own is named."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workers.model import prompts
from workers.model.checkpoints import vicuna
from workers.model.errors import GenerationError
from workers.model.profiles.chat import parts, turns
from workers.model.profiles.described import checkpoint
from workers.model.profiles.load import ProfileError, find_profile, load_profile, shipped_names
from workers.model.profiles.profile import Profile, Questions, Table
from workers.model.prompts import IS_NORMAL, IS_THERE, Role, Task, Turn, chat

SMALL = """
format = 1
name = "small"
cannot = ["scores", "regions", "chat", "differential", "children"]
[card]
source = "here"
licence = "MIT"
intended_use = "Tests."
tried_with_real_weights = false
tried = "never"
[prompts]
report = "<image> Describe it.{indication}"
indication = " Why: {text}"
"""


@pytest.fixture
def write(tmp_path):
    """Write a profile and return its path."""

    def written(text):
        path = tmp_path / "profile.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_profile_is_valid_and_states_what_was_tried(name):
    """Each shipped profile loads, states its licence, and claims no trial with real weights."""
    profile = load_profile(find_profile(name))
    assert profile.card.licence
    assert profile.card.intended_use
    assert not profile.card.tried_with_real_weights
    assert profile.card.tried


def test_the_shipped_profiles_are_those_that_the_documents_name():
    """Five profiles are shipped."""
    assert shipped_names() == (
        "chexagent", "cxr-llava-v2", "generic", "llava-rad", "medgemma-1.5-4b",
    )  # fmt: skip


@pytest.mark.parametrize("task", [Task.REPORT, Task.PAEDIATRIC_REPORT, Task.DIFFERENTIAL])
def test_the_profile_of_cxr_llava_asks_what_the_built_in_model_asks(task):
    """The profile's turns are those of `prompts.chat`, which equal the authors'."""
    profile = load_profile(find_profile("cxr-llava-v2"))
    assert turns(profile, task) == chat(task)


def rendered(name, asked):
    """Return turns in the layout of a shipped profile's chat template, as the library renders it."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    messages = []
    for turn in asked:
        before, *after = parts(turn)
        content = [{"type": "text", "text": before}] if before else []
        for text in after:
            content += [{"type": "image"}, {"type": "text", "text": text}]
        messages.append({"role": turn.role.value, "content": content})
    template = environment.from_string(load_profile(find_profile(name)).chat_template)
    return template.render(messages=messages, add_generation_prompt=True)


@pytest.mark.parametrize("task", [Task.REPORT, Task.DIFFERENTIAL])
def test_the_chat_templates_of_the_built_in_models_give_their_layouts(task):
    """The templates in the profiles give the prompts that the built-in models are given."""
    cxr = turns(load_profile(find_profile("cxr-llava-v2")), task)
    assert rendered("cxr-llava-v2", cxr) == prompts.render(chat(task))
    rad = turns(load_profile(find_profile("llava-rad")), task)
    assert rendered("llava-rad", rad) == vicuna.render(vicuna.chat(task))


@pytest.mark.parametrize("reason", ["", "fever and cough"])
@pytest.mark.parametrize("task", [Task.REPORT, Task.PAEDIATRIC_REPORT, Task.DIFFERENTIAL])
def test_the_profile_of_llava_rad_asks_what_the_built_in_model_asks(task, reason):
    """The user's turn is that of `vicuna.chat`, with and without an indication."""
    profile = load_profile(find_profile("llava-rad"))
    expected = vicuna.chat(task, indication=reason)
    asked = turns(profile, task, indication=reason)
    assert asked == (Turn(Role.SYSTEM, vicuna.SYSTEM), *expected)


def test_a_fragment_stands_only_where_there_is_text(write):
    """The indication appears with its words, or not at all; a placeholder in it stays as it is."""
    profile = load_profile(write(SMALL))
    assert turns(profile, Task.REPORT)[0].content == "<image> Describe it."
    both = turns(profile, Task.REPORT, indication="Clear {indication}.")[0].content
    assert both == "<image> Describe it. Why: Clear {indication}."


@pytest.mark.parametrize(
    "text", ["<image>", "<|im_end|>", "[/INST] yes", "</s>", "<start_of_turn>"]
)
def test_a_text_from_outside_cannot_act_as_a_turn(write, text):
    """Control words of chat layouts in an indication are refused."""
    profile = load_profile(write(SMALL))
    with pytest.raises(GenerationError, match="control word"):
        turns(profile, Task.REPORT, indication=text)


def test_a_task_without_a_prompt_is_refused(write):
    """The error names the model and the key that its profile lacks."""
    profile = load_profile(write(SMALL))
    with pytest.raises(GenerationError, match=r"small cannot do this.*prompts\.question"):
        turns(profile, Task.QUESTION, question="Is it clear?")


def test_the_record_of_a_model_states_what_it_cannot_do(write):
    """Licence, intended use and missing abilities go from the profile to the record."""
    record = checkpoint(load_profile(write(SMALL)))
    assert (record.licence, record.intended_use) == ("MIT", "Tests.")
    assert record.cannot == ("scores", "regions", "chat", "differential", "children")
    assert record.takes_indication
    assert not record.scores_measured


def test_each_general_question_has_one_in_the_wording_of_the_model():
    """All seven questions are there, each by the general one."""
    questions = load_profile(find_profile("generic")).scores.questions.by_general()
    assert set(questions) == {*IS_THERE.values(), IS_NORMAL}
    assert questions[IS_THERE["pleural effusion"]].startswith("Is there a pleural effusion?")


@pytest.mark.parametrize(
    ("changed", "to", "message"),
    [
        ("format = 1", "format = 2", "line 2: format: 2 is not allowed: use 1"),
        ('name = "small"', "", "name: is required: add it"),
        ('name = "small"', "name = 3", "line 3: name: 3 is not allowed: use text in"),
        ('name = "small"', 'nmae = "small"', "line 3: nmae: there is no such key; did you mean name"),
        ('"scores", ', "", 'line 4: cannot: must contain "scores", or add scores'),
        ('"scores", ', '"score", ', "line 4: cannot: 'score' is not allowed"),
        ('"chat", ', "", 'must contain "chat", or add prompts.question'),
        ("[prompts]", '[prompts]\nquestion = "<image> {question}"', "remove one of them"),
        ("[prompts]", '[prompts]\nquestion = "<image> Say"', "must contain {question}"),
        ("<image> Describe", "Describe", "line 12: prompts.report: must contain <image> once"),
        ("<image> Describe", "<image><image> Describe", "must contain <image> once"),
        ("it.{indication}", "it.{question}", "must not contain {question}"),
        ('indication = " Why: {text}"', "", "prompts.indication: is required, because report"),
        ('" Why: {text}"', '" Why?"', "prompts.indication: must contain {text} once"),
        ("it.{indication}", "it.", "prompts.indication: has no effect: no prompt contains {indication}"),
        ("[prompts]", '[prompts]\nprior = " Before: {text}"', "prompts.prior: is not supported"),
        ("it.{indication}", "it.{indication}{prior}", "report: contains {prior}: Wetread gives"),
        ("it.{indication}", "it.{indicaton}", "contains {indicaton}, which is replaced by nothing"),
        ("[prompts]", '[prompts]\nsystem = "<image>"', "prompts.system: must not contain <image>"),
        ("[prompts]", "[image]\nwidth = 64\n[prompts]", "image.height: is required beside"),
        ("[prompts]", '[image]\nfit = "crop"\n[prompts]', "image.fit: has no effect without width"),
        ("[prompts]", "[image]\nwidth = 5\nheight = 64\n[prompts]", "image.width: 5 is not allowed"),
        ("[prompts]", '[image]\nmode = "P"\n[prompts]', "image.mode: 'P' is not allowed"),
        ("[prompts]", '[answer]\nstop = "a"\n[prompts]', "line 12: answer.stop: 'a' is not"),
        ("[prompts]", '[answer]\nfindings = ["x"]\nimpression = ["X"]\n[prompts]', "keep one of them"),
        ("[prompts]", "[decoding]\ntop_p = 0.0\n[prompts]", "use a number above 0 to 1"),
        ("[card]", '[card]\nlanguages = ["de"]', 'card.languages: must contain "en"'),
        ("[card]", "[card]\nrandom_weights = true", "card.caveat: is required with random_weights"),
        ("[card]", "[card]\nphantoms_only = true", "card.caveat: is required with phantoms_only"),
        ("[card]", "card = 3\n[kard]", "card: 3 is not allowed: use a table"),
        ('tried_with_real_weights = false', 'tried_with_real_weights = "no"', "tried_with_real_weights"),
        ("[prompts]", "prompts", "line 11: prompts: not TOML: Expected '='"),
        ("<image> Describe", "\"<image>", "line 12: report: not TOML: "),
        ("[card]", "[card", "line 5: [card: not TOML: "),
        ('tried = "never"', 'tried = [', "not TOML: "),
        ("[card]", "name = 'x'", "line 5: name: not TOML: Cannot overwrite a value"),
        ("[prompts]", "[answer]\nstop = [\n3]\n[prompts]", "line 12: answer.stop: 3 is not"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_file_line_and_key(write, changed, to, message):
    """The message states the file, the line, the key, and what to do."""
    path = write(SMALL.replace(changed, to, 1))
    with pytest.raises(ProfileError) as raised:
        load_profile(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_all_faults_are_named_at_once_in_the_order_of_the_file(write):
    """Faults in three tables are three messages."""
    text = SMALL.replace('name = "small"', "nane = 1").replace(
        "[prompts]", "[image]\nmod = 1\n[prompts]"
    )
    with pytest.raises(ProfileError) as raised:
        load_profile(write(text))
    lines = [int(number) for number in re.findall(r"line (\d+)", str(raised.value))]
    assert lines == sorted(lines)
    assert len(lines) == 2
    assert "name: is required" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe\x00", "not UTF-8"), (b"#" * 300_000, "larger than 256 KiB")],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path, content, message):
    """Bytes that are no text, and a file of any size, end in a message."""
    path = tmp_path / "profile.toml"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=message):
        load_profile(path)


def test_an_unknown_profile_is_refused_with_the_names_of_the_shipped_ones(tmp_path):
    """Neither a file nor a shipped name: the message lists the shipped names."""
    with pytest.raises(ProfileError, match="generic"):
        find_profile("medgema")
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile(tmp_path / "absent.toml")


def test_the_digest_is_of_the_content(write):
    """A comment changes nothing; a word of a prompt does."""
    first = load_profile(write(SMALL))
    assert load_profile(write(SMALL + "# a comment\n")).sha256 == first.sha256
    other = load_profile(write(SMALL.replace("Describe", "Report")))
    assert other.sha256 != first.sha256
    assert checkpoint(other).profile_sha256 == other.sha256


def keys(table):
    """Yield the keys of a table and of the tables in it."""
    for name, field in table.model_fields.items():
        yield name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, Table) and kind is not Questions:
                yield from keys(kind)


def test_the_documents_name_every_key():
    """docs/models.md has each key of a profile, in back quotes or as a table."""
    text = (Path(__file__).parents[4] / "docs" / "models.md").read_text(encoding="utf-8")
    missing = [
        key
        for key in keys(Profile)
        if not re.search(rf"`{key}`|`\[{key}\]`|`\[scores\.{key}\]`", text)
    ]
    assert missing == []


def paths(table=Profile, above=()):
    """Yield the path of each key of a profile, tables included."""
    for name, field in table.model_fields.items():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        below = [one for one in kinds if isinstance(one, type) and issubclass(one, Table)]
        yield (*above, name)
        if below:
            yield from paths(below[0], (*above, name))


@pytest.mark.parametrize("path", list(paths()), ids=".".join)
def test_each_key_has_an_error_with_file_key_value_and_what_is_allowed(tmp_path, path):
    """A value of a wrong kind, for all keys: a table that nothing in a profile may be."""
    content = tomllib.loads(find_profile("generic").read_text(encoding="utf-8"))
    table = content
    for part in path[:-1]:
        table = table.setdefault(part, {})
    table[path[-1]] = -1.5
    file = tmp_path / "profile.toml"
    file.write_text(as_toml(content), encoding="utf-8")
    with pytest.raises(ProfileError) as raised:
        load_profile(file)
    assert re.match(
        rf"{re.escape(str(file))}: line \d+: {re.escape('.'.join(path))}: -1\.5 is not allowed: use \S",
        str(raised.value),
    )


def as_toml(table, above=()):
    """Return a parsed file as text again."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{'.'.join((*above, key))}]", as_toml(value, (*above, key))]
    return "\n".join(lines)


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path):
    """Windows-1252 instead of UTF-8."""
    path = tmp_path / "profile.toml"
    path.write_bytes(SMALL.replace("here", "Zürich").encode("cp1252"))
    with pytest.raises(ProfileError, match="line 6: a character is not UTF-8"):
        load_profile(path)


def test_what_looks_like_a_key_within_a_text_is_not_taken_for_one(write):
    """A text of several lines that holds `stop =`; the line of the key itself is named."""
    text = 'begins_after = """\nstop = 3"""\nstop = 4'
    with pytest.raises(ProfileError, match=r"line 14: answer\.stop: 4 is not"):
        load_profile(write(SMALL.replace("[prompts]", f"[answer]\n{text}\n[prompts]")))
