"""A site of many hands: a tree of pages, drafts beside what is published, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from cms.api import (
    add_plugin,
    assign_user_to_page,
    create_page,
    create_page_content,
    create_page_user,
)
from cms.models import (
    GlobalPagePermission,
    Page,
    PageContent,
    PagePermission,
    PageUserGroup,
    Placeholder,
    UserSettings,
)
from django.contrib.auth.models import Group, User
from django.contrib.sites.models import Site
from django.core.files.base import ContentFile
from djangocms_alias.models import Alias, AliasContent, Category
from djangocms_versioning.models import Version
from filer.models import Clipboard, File, Folder, FolderPermission, Image, ThumbnailOption
from PIL import Image as Picture

from tests.projects import accounts
from tests.projects.django_cms.teasers.models import Row
from worker.sample.values import Values

LANGUAGES = ("en", "cs")


@dataclass
class Pages:
    """What is being made; each method goes on from those before it."""

    values: Values
    users: list[User] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    @property
    def staff(self) -> Sequence[User]:
        return self.users[:5]

    def fill_accounts(self) -> None:
        accounts.create_site()
        self.users = accounts.create_users(self.values, 20)
        self.groups = accounts.create_groups(self.values, self.users, ["editors", "Překladatelé"])
        for user in self.staff:
            UserSettings.objects.create(
                user=user, language=self.values.random.choice(LANGUAGES), clipboard=_clipboard()
            )

    def fill_files(self) -> None:
        folders: list[Folder] = []
        for number in range(8):
            parent = self.values.maybe(self.values.random.choice(folders)) if folders else None
            name = f"{self.values.words(1)} {number}"
            folders.append(Folder.objects.create(name=name, parent=parent, owner=self.staff[0]))
        self.images = [self._file(Image, folders, _png(self.values), "png") for _ in range(24)]
        self.files = [
            self._file(File, folders, self.values.text(9).encode(), "txt") for _ in range(16)
        ]
        self._around_files(folders)

    def _file(
        self, kind: type[File], folders: Sequence[Folder], content: bytes, ending: str
    ) -> Any:
        name = f"{self.values.words(2).replace('/', '-')}.{ending}"
        made = kind.objects.create(
            original_filename=name,
            name=self.values.random.choice(["", name]),
            description=self.values.maybe(self.values.text(1)),
            folder=self.values.maybe(self.values.random.choice(folders)),
            owner=self.values.maybe(self.values.random.choice(self.users)),
            is_public=self.values.random.random() < 0.7,
        )
        # Not by the project's own rule, which draws a name by lot.
        path = f"{self.values.random.getrandbits(32):08x}/{name}"
        storages = made.file.storages
        storage = storages["public" if made.is_public else "private"]
        prefix = "filer_public/" if made.is_public else ""
        made.file = storage.save(prefix + path, ContentFile(content))
        made.save()
        return made

    def _around_files(self, folders: Sequence[Folder]) -> None:
        for folder in folders[::2]:
            FolderPermission.objects.create(
                folder=folder,
                type=FolderPermission.CHILDREN,
                group=self.values.random.choice(self.groups),
                can_read=FolderPermission.ALLOW,
                can_edit=self.values.maybe(FolderPermission.DENY),
            )
        clipboard = Clipboard.objects.create(user=self.staff[1])
        for each in (*self.images[:3], *self.files[:3]):
            clipboard.append_file(each)
        ThumbnailOption.objects.create(name=self.values.words(1), width=640, height=480)
        for image in self.images[::4]:
            image.file.get_thumbnail({"size": (8, 8)})

    def fill_aliases(self) -> None:
        for number in range(4):
            category = Category.objects.create()
            for language in LANGUAGES:
                category.create_translation(language, name=f"{self.values.words(2)} {number}")
            alias = Alias.objects.create(
                category=category,
                static_code=self.values.maybe(f"code-{number}"),
                site=Site.objects.get_current(),
            )
            for language in LANGUAGES:
                content = AliasContent.objects.with_user(self.staff[0]).create(
                    alias=alias, name=self.values.words(2), language=language
                )
                self._text(content.placeholder, language)
                if number:
                    _version_of(content).publish(self.staff[0])
            self.aliases.append(alias)

    def fill_pages(self) -> None:
        for number in range(24):
            self._page(number)
        for page in self.pages[::2]:
            self._translate(page)
        for page in self.pages[4::4]:
            self._edit(page)
        self.pages[0].set_as_homepage(self.staff[0])

    def _page(self, number: int) -> None:
        author = self.values.random.choice(self.staff)
        parent = self.values.maybe(self.values.random.choice(self.pages)) if self.pages else None
        page = create_page(
            f"{self.values.words(3)} {number}",
            "page.html",
            "en",
            slug=f"page-{number}",
            created_by=author,
            parent=parent,
            in_navigation=number % 3 > 0,
            meta_description=self.values.maybe(self.values.text(1)),
            reverse_id=f"page-{number}" if number % 5 == 0 else None,
            login_required=number % 7 == 0,
        )
        self.pages.append(page)
        content = PageContent.admin_manager.get(page=page, language="en")
        self._plugins(content, "en")
        if number % 4:
            _version_of(content).publish(author)

    def _translate(self, page: Page) -> None:
        author = self.values.random.choice(self.staff)
        content = create_page_content("cs", self.values.words(3), page, created_by=author)
        self._plugins(content, "cs")
        version = _version_of(content)
        if self.values.random.random() < 0.5:
            version.publish(author)
            version.unpublish(author)
        elif self.values.random.random() < 0.5:
            version.archive(author)

    def _edit(self, page: Page) -> None:
        """A draft beside what was there, with copies of its plugins."""
        content = PageContent.admin_manager.filter(page=page, language="en").latest("pk")
        draft = _version_of(content).copy(self.staff[0])
        self._text(draft.content.get_placeholders()[0], "en")

    def _plugins(self, content: PageContent, language: str) -> None:
        for placeholder in content.get_placeholders():
            for _ in range(self.values.random.randint(0, 2)):
                self._text(placeholder, language)
            for make in self.values.some([self._link, self._video, self._teaser, self._alias], 3):
                make(placeholder, language)

    def _text(self, placeholder: Placeholder, language: str, target: Any = None) -> Any:
        body = "".join(f"<p>{self.values.text(1)}</p>" for _ in range(2))
        return add_plugin(placeholder, "TextPlugin", language, target=target, body=body)

    def _link(self, placeholder: Placeholder, language: str) -> None:
        internal = {"internal_link": f"cms.page:{self.values.random.choice(self.pages).pk}"}
        external = {"external_link": f"https://příklad.example/?q={self.values.words(1)}"}
        add_plugin(
            placeholder,
            "LinkPlugin",
            language,
            target=self._text(placeholder, language),
            name=self.values.words(2),
            link=self.values.random.choice([internal, external]),
            attributes={"data-číslo": str(self.values.random.random()), "class": "Ünï"},
        )

    def _video(self, placeholder: Placeholder, language: str) -> None:
        player = add_plugin(
            placeholder,
            "VideoPlayerPlugin",
            language,
            label=self.values.words(1),
            poster=self.values.maybe(self.values.random.choice(self.images)),
            parameters={"autoplay": "1"},
        )
        for _ in range(2):
            add_plugin(
                placeholder,
                "VideoSourcePlugin",
                language,
                target=player,
                source_file=self.values.random.choice(self.files),
                text_title=self.values.words(2),
                attributes={},
            )

    def _teaser(self, placeholder: Placeholder, language: str) -> None:
        teaser = add_plugin(
            placeholder,
            "TeaserPlugin",
            language,
            title=self.values.words(3),
            picture=self.values.maybe(self.values.random.choice(self.images)),
        )
        teaser.pages.set(self.values.some(self.pages, 3))
        for _ in range(3):
            Row.objects.create(
                teaser=teaser, label=self.values.words(1), price=self.values.amount(9, 3)
            )
        self._text(placeholder, language, target=teaser)

    def _alias(self, placeholder: Placeholder, language: str) -> None:
        alias = self.values.random.choice(self.aliases)
        add_plugin(placeholder, "Alias", language, alias=alias, template="default")

    def fill_permissions(self) -> None:
        for user in self.users[5:9]:
            create_page_user(self.staff[0], user)
            page = self.values.random.choice(self.pages)
            assign_user_to_page(page, user, can_change=True, can_add=True)
        for name in ("Correctors", "Korektoři"):
            group = PageUserGroup.objects.create(name=name, created_by=self.staff[0])
            group.user_set.set(self.values.some(self.users, 6))
            page = self.values.random.choice(self.pages)
            PagePermission.objects.create(group=group, page=page, can_publish=False)
        everywhere = GlobalPagePermission.objects.create(user=self.users[9], can_view=True)
        everywhere.sites.set(Site.objects.all())
        accounts.log(self.values, self.staff, [*self.pages, *self.images])


def _clipboard() -> Placeholder:
    return Placeholder.objects.create(slot="clipboard")


def _png(values: Values) -> bytes:
    """A small picture of noise."""
    stream = BytesIO()
    Picture.frombytes("RGB", (16, 16), values.random.randbytes(16 * 16 * 3)).save(stream, "PNG")
    return stream.getvalue()


def _version_of(content: Any) -> Version:
    return Version.objects.get_for_content(content)


def fill(values: Values) -> None:
    """Fill an empty, migrated site."""
    pages = Pages(values)
    pages.fill_accounts()
    pages.fill_files()
    pages.fill_aliases()
    pages.fill_pages()
    pages.fill_permissions()
