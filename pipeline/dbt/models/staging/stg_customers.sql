select
    customer_id,
    first_name,
    last_name,
    email,
    region,
    country,
    signed_up_at
from {{ source('bronze', 'customers') }}
