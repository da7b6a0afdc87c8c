from __future__ import annotations

from cms.plugin_base import CMSPluginBase
from cms.plugin_pool import plugin_pool

from tests.projects.django_cms.teasers.models import Teaser


@plugin_pool.register_plugin
class TeaserPlugin(CMSPluginBase):
    model = Teaser
    name = "Teaser"
    render_template = "page.html"
    allow_children = True
