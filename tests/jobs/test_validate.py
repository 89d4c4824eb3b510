from curate.declare import Rows
from curate.jobs.validate import Validate
from curate.steps.valid import Valid


def test_one_filter_over_whole_rows():
    job = Validate(format="chat")
    assert job.reading() == "record"
    (stage,) = job.stages()
    assert isinstance(stage, Rows)
    assert stage.steps == (Valid(format="chat"),)
    (stage,) = Validate(text_column="body").stages()
    assert stage.steps == (Valid(format="auto", text_column="body"),)
