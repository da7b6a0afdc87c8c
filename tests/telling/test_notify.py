"""What people are told, and that no server of messages can harm or hold up a run."""

from __future__ import annotations

import logging
import time

import pytest
from django.core import mail

from diskette import channels
from diskette.core.plan import Kind
from diskette.core.report import Severity
from diskette.models import Run
from tests.telling import listening
from tests.telling.conftest import finding

pytestmark = pytest.mark.django_db(transaction=True)


def subjects() -> list[str]:
    return [each.subject.removeprefix("[Django] Diskette: ") for each in mail.outbox]


# -- when -------------------------------------------------------------------------------


def test_failures_are_told_and_the_first_success_after_them(end, admins):
    for state in ("succeeded", "failed", "failed", "cancelled", "succeeded", "succeeded"):
        end(state)
    assert subjects() == [
        "dump of tests failed",
        "dump of tests failed (2 in a row)",
        "dump of tests succeeded again",
    ]
    assert "It had failed 2 times in a row." in mail.outbox[2].body


def test_each_kind_of_run_has_its_own_history(end, admins):
    end("failed", kind=Kind.LOAD)
    end("succeeded", kind=Kind.DUMP)
    end("succeeded", kind=Kind.LOAD)
    assert subjects() == ["load of tests failed", "load of tests succeeded again"]


def test_success_is_told_where_that_is_asked_for(end, admins, settings):
    end("succeeded")
    settings.DISKETTE_NOTIFY_SUCCESS = True
    end("succeeded")
    assert subjects() == ["dump of tests succeeded"]


def test_errors_that_a_dump_found_are_told_when_they_are_new(end, admins):
    stale = finding("stale-contenttype", model="auth.Permission")
    for found in ((stale,), (stale,), (stale, finding("foreignkey-missing")), (), ()):
        end("succeeded", *found)
    assert subjects() == [
        "dump of tests succeeded, but found errors",
        "dump of tests succeeded, but found errors",
        "dump of tests succeeded, without errors again",
    ]


def test_warnings_alone_are_told_to_nobody(end, admins):
    end("succeeded", finding("file-changed", Severity.WARNING))
    assert subjects() == []


def test_a_dump_within_a_load_and_a_load_that_only_checks_are_not_told(end, admins, begin):
    parent = end("succeeded", kind=Kind.LOAD)
    checked = begin("finish", kind=Kind.LOAD)
    Run.objects.filter(pk=checked.pk).update(options={"check": True})
    channels_before = len(mail.outbox)
    from diskette import engine

    engine.fail(checked.pk, RuntimeError("no"))
    child = Run.objects.create(kind="dump", state="failed", parent=parent)
    from diskette import notify

    assert notify._on_end(run=child) == []
    assert len(mail.outbox) == channels_before


def test_without_admins_nobody_is_told(end):
    run = end("failed")
    assert mail.outbox == []
    assert [each.code for each in run.all_findings] == ["no-space"]


# -- what -------------------------------------------------------------------------------


def test_a_message_says_what_failed_why_and_what_to_do(end, admins):
    good = end("succeeded")
    twice = finding("foreignkey-missing", message="shop.Order.customer leads nowhere.")
    run = end("failed", finding("file-changed", Severity.WARNING), twice, twice)
    (message,) = mail.outbox
    body = message.body
    assert body.startswith(
        "The dump of tests failed. The last one that succeeded ended "
        f"{good.finished_at:%Y-%m-%d %H:%M:%S} UTC (now).\n"
    )
    assert "failed   in finish\n" in body
    assert f"more     python manage.py diskette_status {run.pk}\n" in body
    assert "again    python manage.py diskette_dump\n" in body
    assert body.endswith(
        """What was found:

error [foreignkey-missing] shop.Order.customer leads nowhere.
  cure: cure foreignkey-missing.

warning [file-changed] file-changed was found.
  cure: cure file-changed.
"""
    )


def test_mail_goes_to_those_named_instead_of_admins(end, admins, settings):
    settings.DISKETTE_NOTIFY_MAIL = ["night@example.com", "ops@example.com"]
    end("failed")
    (message,) = mail.outbox
    assert message.to == ["night@example.com", "ops@example.com"]
    assert message.from_email == "site@example.com"


def test_an_empty_list_of_addresses_means_no_mail(end, admins, settings):
    settings.DISKETTE_NOTIFY_MAIL = []
    end("failed")
    assert mail.outbox == []


# -- by mail ----------------------------------------------------------------------------


def test_mail_arrives_at_a_real_server(end, admins, mailbox):
    end("failed")
    (mail_,) = mailbox.mails
    assert mail_["To"] == "ada@example.com"
    assert mail_["Auto-Submitted"] == "auto-generated"
    assert "cure: cure no-space." in mail_.get_content()


def test_a_server_that_refuses_mail_fails_no_run(end, admins, mailbox, caplog):
    mailbox.refuse = True
    run = end("succeeded", finding("stale-contenttype"))
    assert run.state == "succeeded"
    told = [each for each in run.all_findings if each.code == "not-told"]
    assert [each.message for each in told] == [
        "The mail to ada@example.com was not sent: SMTPDataError: no mail today."
    ]
    assert "no mail today" in caplog.text


def test_a_mail_server_that_is_silent_holds_a_run_up_no_longer_than_allowed(end, admins, settings):
    with listening.dripping() as url:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = url.removeprefix("http://").split(":")
        settings.DISKETTE_NOTIFY_TIMEOUT = 1
        begun = time.monotonic()
        run = end("failed")
        assert time.monotonic() - begun < 5
    assert "not-told" in [each.code for each in run.all_findings]


# -- to services ------------------------------------------------------------------------


def test_a_service_is_told_through_apprise(end, settings, web):
    settings.DISKETTE_NOTIFY_SECRET_URLS = [f"{web.url.replace('http', 'json')}/hook"]
    run = end("failed")
    (body,) = web.bodies
    assert body["title"] == "Diskette: dump of tests failed"
    assert body["type"] == "failure"
    assert f"diskette_status {run.pk}" in body["message"]
    assert [each.code for each in run.all_findings] == ["no-space"]


@pytest.mark.parametrize("trouble", ["refuses", "absent", "unknown"])
def test_an_address_of_a_service_is_in_no_log_and_no_finding(end, settings, web, caplog, trouble):
    caplog.set_level(logging.DEBUG)
    web.status = 500
    host = {"refuses": web.url.removeprefix("http://"), "absent": "127.0.0.1:1"}.get(trouble, "x")
    scheme = "unheardof" if trouble == "unknown" else "json"
    settings.DISKETTE_NOTIFY_SECRET_URLS = [f"{scheme}://user:s3cr3t@{host}/t0ken"]
    run = end("failed")
    (told,) = [each for each in run.all_findings if each.code == "not-told"]
    assert told.message.startswith(f"The message to service 1 of 1 ({scheme}) was not sent: ")
    logged = "\n".join(f"{each.getMessage()} {each.exc_text}" for each in caplog.records)
    assert "service 1 of 1" in logged
    for secret in ("s3cr3t", "t0ken"):
        assert secret not in logged
        assert secret not in str([each.to_json() for each in run.all_findings])


def test_without_apprise_the_finding_says_how_to_get_it(end, settings, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    settings.DISKETTE_NOTIFY_SECRET_URLS = ["json://127.0.0.1:1/"]
    run = end("failed")
    assert any('pip install "diskette[notify]"' in each.message for each in run.all_findings)


# -- pings ------------------------------------------------------------------------------


def test_pings_say_start_and_end_of_each_run_of_their_kind(end, settings, web):
    settings.DISKETTE_NOTIFY_SECRET_PINGS = {"dump": f"{web.url}/uuid"}
    for state in ("succeeded", "failed", "cancelled"):
        end(state)
    end("failed", kind=Kind.LOAD)
    assert web.paths == [
        *("/uuid/start", "/uuid"),
        *("/uuid/start", "/uuid/fail"),
        *("/uuid/start", "/uuid/fail"),
    ]


def test_each_moment_may_have_an_address_of_its_own(end, settings, web):
    settings.DISKETTE_NOTIFY_SECRET_PINGS = {
        "dump": {"success": f"{web.url}/push?status=up", "fail": f"{web.url}/push?status=down"}
    }
    end("succeeded")
    end("failed")
    assert web.paths == ["/push?status=up", "/push?status=down"]


def test_a_ping_that_is_refused_is_a_warning_without_its_address(end, settings, web, caplog):
    caplog.set_level(logging.DEBUG)
    web.status = 404
    settings.DISKETTE_NOTIFY_SECRET_PINGS = {"dump": f"{web.url}/s3cr3t"}
    run = end("succeeded")
    assert [(each.code, each.message) for each in run.all_findings] == [
        ("not-told", f"The ping {moment} of dump was not sent: the server answered 404.")
        for moment in ("start", "success")
    ]
    assert "s3cr3t" not in "\n".join(each.getMessage() for each in caplog.records)


@pytest.mark.parametrize("server", ["silent", "dripping"])
def test_a_ping_holds_a_run_up_no_longer_than_allowed(end, settings, web, server):
    settings.DISKETTE_NOTIFY_TIMEOUT = 1
    web.silent.set()
    with listening.dripping() as dripping:
        url = web.url if server == "silent" else dripping
        settings.DISKETTE_NOTIFY_SECRET_PINGS = {"dump": {"success": url}}
        begun = time.monotonic()
        run = end("succeeded")
        assert time.monotonic() - begun < 4
    assert run.state == "succeeded"
    assert "no answer within 1 seconds" in run.all_findings[0].message


def test_two_services_that_are_silent_cost_one_wait(settings, web):
    settings.DISKETTE_NOTIFY_TIMEOUT = 1
    web.silent.set()
    service = web.url.replace("http", "json")
    settings.DISKETTE_NOTIFY_SECRET_URLS = [f"{service}/1", f"{service}/2"]
    message = channels.Message(subject="s", body="b", tone=channels.Tone.FAILURE)
    begun = time.monotonic()
    assert len(channels.send(message)) == 2
    assert time.monotonic() - begun < 4
