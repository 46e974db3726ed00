"""Personal access tokens (WorkMail API: ListPersonalAccessTokens, GetPersonalAccessTokenMetadata, DeletePersonalAccessToken)."""

from postroom.api import listing, paging
from postroom.api.operation import Answer, Call, operation
from postroom.policy import tokens
from postroom.policy.tokens import Token


@operation("ListPersonalAccessTokens")
def list_personal_access_tokens(call: Call) -> Answer:
    """List the tokens of a user, or of the organization."""
    after = call.page.after[0] if call.page.after else ""
    found = tokens.page(call.tx, user=call.params.get("UserId"), after=after, limit=call.page.fetch)
    return paging.answer(call.page, "PersonalAccessTokenSummaries", found, key=lambda token: (token.id,), render=_shown)


@operation("GetPersonalAccessTokenMetadata")
def get_personal_access_token_metadata(call: Call) -> Answer:
    """Show what is known of a token."""
    return _shown(tokens.get(call.tx, call.params["PersonalAccessTokenId"]))


@operation("DeletePersonalAccessToken")
def delete_personal_access_token(call: Call) -> Answer:
    """Remove a token."""
    tokens.delete(call.tx, call.params["PersonalAccessTokenId"])
    return {}


def _shown(token: Token) -> Answer:
    return listing.present(
        PersonalAccessTokenId=token.id,
        UserId=token.user_id,
        Name=token.name,
        DateCreated=token.created_at,
        DateLastUsed=token.used_at,
        ExpiresTime=token.expires_at,
        Scopes=list(token.scopes),
    )
