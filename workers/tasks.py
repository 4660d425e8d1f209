"""The Celery tasks: each takes the id of a job or a question and works on it.

This is one of the four places with a broad except: an error of the work is logged and becomes the state
of the job or the delivery.
"""

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from celery import Celery

from service.log import get_logger
from service.queue.names import ANSWER, DELIVER, READ
from workers.delivery.pool import DeliveryPool

if TYPE_CHECKING:  # a process that only delivers must not load torch
    from workers.reading.drafting import Drafting
    from workers.reading.questions.answering import Answering

log = get_logger(__name__)

Item_contra = TypeVar("Item_contra", contravariant=True)


class _Worker(Protocol[Item_contra]):
    """Works on a claimed item, or gives it back with a state that records the error."""

    def work(self, item: Item_contra, /) -> None: ...

    def give_back(self, item: Item_contra, error: Exception, /) -> None: ...


def register_read(app: Celery, drafting: "Drafting") -> Any:  # noqa: ANN401 - Celery's task type
    """Register and return the task `wetread.read`, which drafts one job."""

    def read(job_id: str) -> None:
        job = drafting.claim(job_id)
        if job is None:
            log.debug("nothing_to_read", job_id=job_id)
            return
        work_on(drafting, job)

    return app.task(read, name=READ, shared=False)


def register_answer(app: Celery, answering: "Answering") -> Any:  # noqa: ANN401 - Celery's task type
    """Register and return the task `wetread.answer`, which answers one question about an image."""

    def answer(question_id: str) -> None:
        question = answering.claim(question_id)
        if question is None:
            log.debug("nothing_to_answer", question_id=question_id)
            return
        work_on(answering, question)

    return app.task(answer, name=ANSWER, shared=False)


def register_deliver(app: Celery, pool: DeliveryPool) -> Any:  # noqa: ANN401 - Celery's task type
    """Register and return the task `wetread.deliver`: start due deliveries of one job, then of any."""

    def deliver(job_id: str) -> None:
        pool.deliver(job_id)

    return app.task(deliver, name=DELIVER, shared=False)


def work_on(worker: _Worker[Item_contra], item: Item_contra) -> Exception | None:
    """Work on `item`; return the error that its state now records, or None on success."""
    try:
        worker.work(item)
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is, the item gets a state
        worker.give_back(item, error)
        return error
    return None
