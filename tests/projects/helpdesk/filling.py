"""A helpdesk that has been at work: tickets, answers, attachments, articles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from helpdesk.models import (
    Checklist,
    ChecklistTask,
    ChecklistTemplate,
    CustomField,
    EscalationExclusion,
    FollowUp,
    IgnoreEmail,
    KBCategory,
    KBIAttachment,
    KBItem,
    PreSetReply,
    Queue,
    SavedSearch,
    Ticket,
    TicketCC,
    TicketDependency,
    UserSettings,
)
from helpdesk.update_ticket import update_ticket

from tests.projects import accounts
from worker.sample.values import Values

ENDINGS = ("txt", "pdf", "png", "jpg")
CUSTOM_FIELDS = ("varchar", "text", "integer", "decimal", "list", "boolean", "date", "datetime")


@dataclass
class Helpdesk:
    """What is being made; each method goes on from those before it."""

    values: Values
    users: list[User] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    articles: list[KBItem] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)

    @property
    def staff(self) -> Sequence[User]:
        return self.users[:5]

    def fill_accounts(self) -> None:
        accounts.create_site()
        self.users = accounts.create_users(self.values, 25)
        for user in self.users:
            UserSettings.objects.update_or_create(
                user=user, defaults={"tickets_per_page": self.values.random.randint(5, 100)}
            )

    def fill_queues(self) -> None:
        call_command("loaddata", "emailtemplate.json", verbosity=0)
        for number in range(6):
            queue = Queue.objects.create(
                title=f"{self.values.words(2)} {number}",
                slug=f"queue-{number}",
                locale=self.values.random.choice(["", "cs", "el"]),
                email_address=self.values.maybe(f"queue{number}@example.org"),
                allow_public_submission=True,
                escalate_days=self.values.maybe(number),
                default_owner=self.values.maybe(self.staff[1]),
                dedicated_time=self.values.maybe(self.values.duration()),
                email_box_last_check=self.values.maybe(self.values.instant()),
                socks_proxy_type=self.values.random.choice([None, "socks5"]),
            )
            self.queues.append(queue)
        self._around_queues()
        self.groups = accounts.create_groups(self.values, self.users, ["agents", "Správci"])

    def _around_queues(self) -> None:
        for number in range(5):
            reply = PreSetReply.objects.create(
                name=self.values.words(3), body=f"{self.values.text(2)} {{{{ ticket.title }}}}"
            )
            reply.queues.set(self.values.some(self.queues, 3))
            holiday = EscalationExclusion.objects.create(
                name=self.values.words(1), date=date(2026, 1, 1) + timedelta(number)
            )
            holiday.queues.set(self.values.some(self.queues, 2))
            ignored = IgnoreEmail.objects.create(
                name=self.values.words(2), email_address=f"*@spam{number}.example"
            )
            ignored.queues.set(self.values.some(self.queues, 2))

    def fill_knowledge(self) -> None:
        for number in range(4):
            category = KBCategory.objects.create(
                name=f"{self.values.words(1)} {number}",
                title=self.values.words(3),
                slug=f"category-{number}",
                description=self.values.text(1),
                queue=self.values.maybe(self.values.random.choice(self.queues)),
                public=number != 3,
            )
            self.articles += [self._article(category, order) for order in range(6)]
        for article in self.articles[::3]:
            content = self.values.text(3).encode()
            KBIAttachment.objects.create(
                kbitem=article, file=SimpleUploadedFile(f"{self.values.words(2)}.txt", content)
            )

    def _article(self, category: KBCategory, order: int) -> KBItem:
        article = KBItem.objects.create(
            category=category,
            title=self.values.words(4),
            question=self.values.text(1),
            answer=self.values.text(5),
            votes=self.values.random.randrange(50),
            order=self.values.maybe(order),
            enabled=order != 5,
        )
        article.voted_by.set(self.values.some(self.users, 6))
        article.downvoted_by.set(self.values.some(self.users, 3))
        return article

    def fill_tickets(self) -> None:
        self._custom_fields()
        self.tickets = [self._ticket() for _ in range(60)]
        for ticket in self.tickets:
            self._around_ticket(ticket)
            for _ in range(self.values.random.randint(0, 4)):
                self._update(ticket)
        for ticket in self.tickets[40:50]:
            TicketDependency.objects.create(ticket=ticket, depends_on=self.tickets[0])
        for ticket in self.tickets[50:55]:
            ticket.merged_to = self.tickets[1]
            ticket.status = Ticket.DUPLICATE_STATUS
            ticket.save()

    def _custom_fields(self) -> None:
        for number, kind in enumerate(CUSTOM_FIELDS):
            CustomField.objects.create(
                name=f"field-{kind}",
                label=f"{self.values.words(2)} {kind}",
                data_type=kind,
                ordering=number,
                required=False,
                list_values="první\r\ndruhá\r\ntřetí" if kind == "list" else "",
            )

    def _ticket(self) -> Ticket:
        ticket = Ticket.objects.create(
            title=self.values.words(6),
            queue=self.values.random.choice(self.queues),
            submitter_email=self.values.maybe("Zákazník@example.org"),
            assigned_to=self.values.maybe(self.values.random.choice(self.staff)),
            description=self.values.text(3),
            resolution=self.values.random.choice([None, "", self.values.text(1)]),
            priority=self.values.random.randint(1, 5),
            on_hold=self.values.random.random() < 0.2,
            due_date=self.values.maybe(self.values.instant()),
            last_escalation=self.values.maybe(self.values.instant()),
            kbitem=self.values.maybe(self.values.random.choice(self.articles)),
            secret_key=str(self.values.uuid()),
        )
        ticket.save_custom_field_values(
            {
                "custom_field-varchar": self.values.words(2),
                "custom_field-integer": self.values.random.getrandbits(40),
                "custom_field-decimal": self.values.amount(9, 3),
                "custom_field-boolean": True,
                "custom_field-date": self.values.day(),
                "custom_field-datetime": self.values.instant(),
            }
        )
        return ticket

    def _around_ticket(self, ticket: Ticket) -> None:
        for user in self.values.some(self.users, 2):
            TicketCC.objects.create(ticket=ticket, user=user, can_update=user.is_staff)
        if self.values.random.random() < 0.3:
            TicketCC.objects.create(ticket=ticket, email="někdo@příklad.example", can_view=True)
            checklist = Checklist.objects.create(ticket=ticket, name=self.values.words(2))
            for position in range(4):
                ChecklistTask.objects.create(
                    checklist=checklist,
                    description=self.values.words(5),
                    completion_date=self.values.maybe(self.values.instant()),
                    position=position,
                )

    def _update(self, ticket: Ticket) -> FollowUp:
        """An answer, as the form and the mailbox give it to the project's own function."""
        random = self.values.random
        return update_ticket(
            random.choice(self.staff),
            ticket,
            comment=f"{self.values.text(2)} #{random.choice(self.tickets).pk}",
            files=[self._upload() for _ in range(random.randint(0, 2))],
            public=random.random() < 0.5,
            owner=random.choice(self.staff).pk,
            priority=random.randint(1, 5),
            new_status=random.choice([Ticket.OPEN_STATUS, Ticket.RESOLVED_STATUS]),
            time_spent=self.values.maybe(self.values.duration()),
            due_date=self.values.maybe(self.values.instant()),
            message_id=self.values.maybe(f"<{random.getrandbits(64):x}@example.org>"),
        )

    def _upload(self) -> SimpleUploadedFile:
        random = self.values.random
        name = f"{self.values.words(2).replace('/', '-')}.{random.choice(ENDINGS)}"
        return SimpleUploadedFile(name, random.randbytes(random.randint(1, 30_000)), "image/png")

    def fill_rest(self) -> None:
        ChecklistTemplate.objects.create(
            name=self.values.words(2), task_list=["Zavřít", {"deep": [1, 2.50, None, "🦊"]}, ""]
        )
        for user in self.staff:
            SavedSearch.objects.create(
                user=user, title=self.values.words(2), shared=True, query=self.values.text(1)
            )
        accounts.log(self.values, self.staff, [*self.tickets[:30], *self.queues])


def fill(values: Values) -> None:
    """Fill an empty, migrated site."""
    helpdesk = Helpdesk(values)
    helpdesk.fill_accounts()
    helpdesk.fill_queues()
    helpdesk.fill_knowledge()
    helpdesk.fill_tickets()
    helpdesk.fill_rest()
