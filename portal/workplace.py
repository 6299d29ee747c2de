"""The workplace: Django's admin with our own site. Read before the models are, so the site itself is in a file apart."""

from django.contrib.admin.apps import AdminConfig


class WorkplaceAdminConfig(AdminConfig):
    default_site = "portal.workplace_site.WorkplaceSite"
