"""The workers. The broker is a doorbell: everything owed is a row, and the sweeps find it without any message."""

import os

from celery import Celery
from celery.schedules import crontab
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("leerkaart")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a broker may be away for hours
    # A page must not wait for a broker that is gone: short timeouts, and no second try of a ring.
    broker_transport_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
        "retry_on_timeout": False,
        "visibility_timeout": 60,
    },
    task_publish_retry=False,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    # A lost message costs nothing (a sweep finds the row), so a message is acknowledged when it is taken.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    task_default_queue="sweeps",
    task_routes={
        "enrollment.tasks.provision_due": {"queue": "provider"},
        "enrollment.tasks.probe_providers": {"queue": "provider"},
        "enrollment.tasks.compare_lists": {"queue": "provider"},
        "enrollment.tasks.send_letters": {"queue": "mail"},
        "enrollment.tasks.recheck_cards": {"queue": "libraries"},
        "enrollment.tasks.fetch_rosters": {"queue": "libraries"},
        "enrollment.tasks.ask_libraries": {"queue": "libraries"},
    },
    beat_schedule={
        "provision-due": {
            "task": "enrollment.tasks.provision_due",
            "schedule": 15.0,
            "options": {"expires": 15},
        },
        "probe-providers": {
            "task": "enrollment.tasks.probe_providers",
            "schedule": 15.0,
            "options": {"expires": 15},
        },
        # At night; what was asked for by hand, or did not succeed at first, is found by the minute.
        "ask-for-comparisons": {
            "task": "enrollment.tasks.ask_for_comparisons",
            "schedule": crontab(minute="40", hour="3"),
            "options": {"expires": 3600},
        },
        "compare-lists": {"task": "enrollment.tasks.compare_lists", "schedule": 60.0, "options": {"expires": 60}},
        "send-letters": {
            "task": "enrollment.tasks.send_letters",
            "schedule": 10.0,
            "options": {"expires": 10},
        },
        # Of those whose ring was lost.
        "settle-notices": {"task": "enrollment.tasks.settle_notices", "schedule": 60.0, "options": {"expires": 60}},
        # Each library system has its pause after every few cards: a short look whose pause is over.
        "recheck-cards": {"task": "enrollment.tasks.recheck_cards", "schedule": 5.0, "options": {"expires": 5}},
        # At night; by the hour, for lists that could not be had at first.
        "fetch-rosters": {
            "task": "enrollment.tasks.fetch_rosters",
            "schedule": crontab(minute="17", hour="0-5"),
            "options": {"expires": 1800},
        },
        "sweep-seats": {"task": "enrollment.tasks.sweep_seats", "schedule": 60.0, "options": {"expires": 60}},
        "erase-people": {"task": "enrollment.tasks.erase_people", "schedule": 60.0, "options": {"expires": 60}},
        "ask-libraries": {"task": "enrollment.tasks.ask_libraries", "schedule": 60.0, "options": {"expires": 60}},
        "sweep-people": {
            "task": "enrollment.tasks.sweep_people",
            "schedule": 3600.0,
            "options": {"expires": 600},
        },
    },
    timezone="UTC",
)
app.autodiscover_tasks(["enrollment"])
