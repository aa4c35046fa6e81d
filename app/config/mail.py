"""Where mail is handed over."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.config.server import ServerSettings
from app.domain.errors import UserError
from app.domain.mail import MailServer, read_mail_server


def _readable(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None
    read_mail_server(value.get_secret_value())
    return value


class MailSettings(ServerSettings):
    smtp_url: Annotated[SecretStr | None, AfterValidator(_readable)] = Field(
        default=None, description="sends mail: smtp(s)://user:password@host:port?from=address"
    )

    @property
    def mail_server(self) -> MailServer | None:
        """Where mail is handed over. Raises UserError where nobody knows what links in it lead to."""
        if self.smtp_url is None:
            return None
        if self.public_url is None:
            raise UserError("JOBYARD_SMTP_URL needs JOBYARD_PUBLIC_URL: links in mail lead there.")
        return read_mail_server(self.smtp_url.get_secret_value())
