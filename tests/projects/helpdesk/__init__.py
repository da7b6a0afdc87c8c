"""django-helpdesk: queues, tickets, attachments, a knowledge base.

Each queue has a permission of its own, a row that no migration makes.
"""

from __future__ import annotations
