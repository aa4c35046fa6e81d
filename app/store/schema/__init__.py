"""The tables. Rows never leave the store: its functions take and return domain values.

Times are aware UTC; documents that are only ever read whole are JSON; what a query filters or sorts by is a column
with an index that a query plan test watches.
"""

from app.store.schema.audit import AuditRow
from app.store.schema.columns import UtcDateTime, metadata
from app.store.schema.forges import CommitStatusRow, RefusedCallRow, RepositoryHookRow
from app.store.schema.installation import (
    AnswerRow,
    ServerRow,
    SettingRow,
    TokenRow,
)
from app.store.schema.jobs import (
    CredentialRow,
    GithubAppRow,
    JobDraftRow,
    JobRow,
    ProjectRow,
    SecretGroupJobRow,
    SecretGroupRow,
    SourceRow,
)
from app.store.schema.notifications import (
    AbsenceRow,
    AlarmRow,
    JobStandingRow,
    NoticeRow,
    NotificationRow,
    NotificationTargetRow,
)
from app.store.schema.people import (
    AccountLinkRow,
    GrantRow,
    KnownDeviceRow,
    LoginRow,
    MailRow,
    UserRow,
)
from app.store.schema.releases import (
    AppJobRow,
    AppRow,
    DeploymentRow,
    DeploymentStepRow,
    FlowNodeRow,
    FlowRow,
    FlowRunRow,
    PipelineRow,
    PromotionRow,
    StageComponentRow,
    StageRow,
)
from app.store.schema.traces import DueSpanRow
from app.store.schema.work import (
    AttemptRow,
    BuildRow,
    BuildSourceRow,
    ComparisonRow,
    ContainerRow,
    DecisionRow,
    DeliveryRow,
    MovementRow,
    RunRow,
    UnknownRepositoryRow,
)

__all__ = [
    "AbsenceRow",
    "AccountLinkRow",
    "AlarmRow",
    "AnswerRow",
    "AppJobRow",
    "AppRow",
    "AttemptRow",
    "AuditRow",
    "BuildRow",
    "BuildSourceRow",
    "CommitStatusRow",
    "ComparisonRow",
    "ContainerRow",
    "CredentialRow",
    "DecisionRow",
    "DeliveryRow",
    "DeploymentRow",
    "DeploymentStepRow",
    "DueSpanRow",
    "FlowNodeRow",
    "FlowRow",
    "FlowRunRow",
    "GithubAppRow",
    "GrantRow",
    "JobDraftRow",
    "JobRow",
    "JobStandingRow",
    "KnownDeviceRow",
    "LoginRow",
    "MailRow",
    "MovementRow",
    "NoticeRow",
    "NotificationRow",
    "NotificationTargetRow",
    "PipelineRow",
    "ProjectRow",
    "PromotionRow",
    "RefusedCallRow",
    "RepositoryHookRow",
    "RunRow",
    "SecretGroupJobRow",
    "SecretGroupRow",
    "ServerRow",
    "SettingRow",
    "SourceRow",
    "StageComponentRow",
    "StageRow",
    "TokenRow",
    "UnknownRepositoryRow",
    "UserRow",
    "UtcDateTime",
    "metadata",
]
