"""Checks the message broker (Redis)."""

from service.checks.check import Grade, Outcome
from service.checks.tls_files import tls_fault
from service.errors import BrokerUnavailable, ConfigurationError
from service.queue.broker_health import check_broker
from service.queue.job_queue import Memory, memory, ping
from service.settings.config import Settings
from service.system.private_servers import redis_program

_MIB = 2**20
_NEVER_EVICTS = "noeviction"


def broker(settings: Settings) -> Outcome:
    """Check that Redis answers, accepts messages and does not evict them.

    Raises:
        BrokerUnavailable: Redis does not answer.
        ConfigurationError: No Redis is configured, and no Redis server is installed.
    """
    if settings.broker.url is None:
        return _private(settings)
    if fault := tls_fault(settings, "broker."):
        return Outcome(fault, Grade.FAULT)
    return _judged(settings)


def _private(settings: Settings) -> Outcome:
    """Check the private Redis; a note if `wetread up` has not started one yet.

    Raises:
        BrokerUnavailable: It was started and does not answer now.
        ConfigurationError: No Redis server is installed.
    """
    program = redis_program()
    try:
        _ = settings.broker_url
    except ConfigurationError:
        text = f"broker.url is not set: `wetread up` starts a private Redis ({program})"
        return Outcome(f"{text}; set it if the processes are started separately", Grade.NOTE)
    try:
        return _judged(settings)
    except BrokerUnavailable as error:
        raise BrokerUnavailable(
            "the private Redis of `wetread up` does not answer: start `wetread up`, or look at its log "
            "if it runs"
        ) from error


def _judged(settings: Settings) -> Outcome:
    answer, limits = ping(settings), memory_limits(memory(settings))
    refusal = check_broker(settings).sentence
    if refusal and limits.grade is not Grade.FAULT:
        return Outcome(f"{answer}. {refusal}", Grade.FAULT)
    return Outcome(f"{answer}, {limits.detail}", limits.grade)


def memory_limits(found: Memory) -> Outcome:
    """Judge whether Redis has memory for messages, and keeps them at its limit (`noeviction`)."""
    if not found.limit:
        return Outcome(f"{found.used // _MIB} MiB in use, no limit")
    used = f"{found.used // _MIB} of {found.limit // _MIB} MiB (maxmemory) in use"
    if found.policy != _NEVER_EVICTS:
        text = f"{used}; when it is full, Redis removes messages (maxmemory-policy {found.policy})"
        advice = f"give Wetread a Redis of its own with maxmemory-policy {_NEVER_EVICTS}"
        return Outcome(f"{text}: {advice}", Grade.WARNING)
    if found.used >= found.limit:
        text = f"{used}: Redis accepts no more messages, and jobs wait. Raise maxmemory"
        return Outcome(text, Grade.FAULT)
    return Outcome(used)
